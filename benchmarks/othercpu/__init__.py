r"""Programs on this x86-64 processor, as if it were another one, at almost the full speed.

    python -m benchmarks.othercpu prepare FOLDER                  a copy of this virtual environment; minutes
    python -m benchmarks.othercpu run FOLDER PROFILE COMMAND...   COMMAND in this copy

For example:

    python -m benchmarks.othercpu prepare /tmp/other
    python -m benchmarks.othercpu run /tmp/other haswell python -m pipeline.commands.fingerprints
    python -m benchmarks.othercpu run /tmp/other haswell \
        python -m pipeline.commands.verify --record --emulator "replaced CPUID"

Profiles are the processors in profiles.py, and `native`, with which CPUID tells the truth. In the shared libraries of
the copy, bytes that trap replace CPUID and the approximate instructions RSQRTPS, RSQRTSS, RCPPS and RCPSS, with their
VEX forms (patch.py). A library that every process of COMMAND loads emulates them (othercpu.c); it also
replaces /proc/cpuinfo and the sizes of caches in /sys. The copy consists of hard links if FOLDER is on the same disk.

It can show results that depend on

- the kernels that libraries choose by make, model, instruction sets and sizes of caches;
- the bits of approximate instructions. They are not those of the other processor, which are unpublished, but permitted
  ones that no processor is known to give. `OTHERCPU_APPROX=native` before the command keeps those of this processor.

It cannot show

- instruction sets that this processor lacks: they are removed from the profile;
- approximate instructions of AVX-512 (VRSQRT14PS and the like), instructions in code that is generated at run time, and
  libraries outside of the virtual environment, such as glibc: they stay as they are. GLIBC_TUNABLES hides AVX-512 from
  glibc;
- speed, errata, more than two cores.
"""
