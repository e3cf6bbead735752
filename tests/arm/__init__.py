"""Run an aarch64 Python on an x86 machine, under qemu, to see that ARM computes the same bytes.

    apt-get install qemu-user-static
    python -m tests.arm build                        once, about 2 minutes and 1.4 GB
    python -m tests.arm run -m stages.encode --help  any Python command, in the current folder

The interpreter and its C libraries are Debian's arm64 packages, unpacked into a folder; nothing is installed, and apt's
own state is not touched. The libraries are aarch64 wheels in the versions of requirements.txt, except torch: its newer
aarch64 wheels carry CUDA, so an older CPU build is taken (`TORCH` in lock.py).
"""
