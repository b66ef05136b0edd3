"""What generators, judges and trainers share and must not copy: files, images, devices, batches, capabilities.

Heavy packages (torch, numpy, Pillow) are imported inside functions only.
"""
