"""The steps of an evaluation: each reads what the step before wrote, and can be repeated at any time."""

from paircomp.pipeline.folder import import_images
from paircomp.pipeline.generate import generate_images
from paircomp.pipeline.held_out import judge_held_out
from paircomp.pipeline.judge import judge_images
from paircomp.pipeline.progress import Progress, Silent, StepCount

__all__ = ["Progress", "Silent", "StepCount", "generate_images", "import_images", "judge_held_out", "judge_images"]
