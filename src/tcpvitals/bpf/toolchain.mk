# How BPF objects are built: pinned versions, so that the bytes are the same wherever it is done.
CLANG ?= clang-19
STRIP ?= llvm-strip-19
BPF := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
# Line information names source files; it is not to name where this checkout lies.
FLAGS := -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter -target bpf \
	-fdebug-compilation-dir=. -ffile-prefix-map=$(CURDIR)=. \
	-I/usr/include/$(shell gcc -print-multiarch)
OUT ?= .
