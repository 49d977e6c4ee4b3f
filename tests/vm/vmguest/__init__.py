"""Real Debian kernels in qemu, for tests: `vmtest` runs one command under one of them.

`archive` asks Debian's archive through apt, `kernels` keeps unpacked kernels, `initramfs` builds
what a guest starts from, `guest` runs one command in one guest, `vmtest` is its command line and
`matrix` runs the kernel tests under all kernels.  Standard library only.
"""
