"""moto's S3 server on loopback, a fake of Amazon's, with one empty bucket."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest


@contextlib.contextmanager
def fake_s3_server() -> Iterator[str]:
    """The URL of the bucket; AWS_… variables lead there meanwhile."""
    moto = pytest.importorskip("moto.server", reason="moto is not installed (pip install 'moto[server]' boto3)")
    boto3 = pytest.importorskip("boto3")
    pytest.importorskip("pyarrow.fs", reason="pyarrow is not installed (pip install 'paircomp[data]')")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"ENDPOINT_URL": f"http://{host}:{port}", "ACCESS_KEY_ID": "fake", "REGION": "us-east-1",
                            "SECRET_ACCESS_KEY": "fake", "DEFAULT_REGION": "us-east-1"}.items():  # fmt: skip
            patch.setenv(f"AWS_{name}", value)
        boto3.client("s3").create_bucket(Bucket="runs")
        yield "s3://runs"
    server.stop()
