# `make help` lists the targets. `make check` is for every few minutes, `make test` is everything.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

CARGO ?= cargo
PREFIX ?= /usr/local
DESTDIR ?=

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## the release binaries, target/release/einhorn and einhornsh
	$(CARGO) build --release -p einhorn

# A static program starts faster and is smaller in memory. The target is named so that the
# flag does not reach the procedural macros, which are built for this machine and loaded.
# Asked for once, and only where it is needed.
TRIPLE ?= $(eval TRIPLE := $$(shell packaging/static-target))$(TRIPLE)
STATIC = target/$(TRIPLE)/release
# The system's linker puts the unwinding tables, which nobody reads, apart from what is used: 170 KiB
# less in memory. Relocations in few bytes are less again, where the C library can read them: musl
# with Rust 1.93, glibc with 2.36.
STATIC_FLAGS = -C target-feature=+crt-static -C link-arg=-fuse-ld=bfd $(PACKED)
VERSIONS = $(if $(findstring musl,$(TRIPLE)),rustc 1.93 $(shell rustc --version | cut -d ' ' -f 1-2),\
	glibc 2.36 $(shell getconf GNU_LIBC_VERSION))
PACKED = $(shell printf '%s %s\n' $(VERSIONS) | sort -CV && \
	echo '-C link-arg=-Wl,-z,pack-relative-relocs')

# glibc takes the memory that the master's speed costs. What is small is smallest in one unit.
STATIC_CONFIG = $(if $(findstring musl,$(TRIPLE)),,--config 'profile.release.package.einhorn.opt-level="z"' \
	--config profile.release.package.einhorn.codegen-units=1)

.PHONY: static
static: ## the same without shared libraries, target/TRIPLE/release/einhorn
	RUSTFLAGS="$(STATIC_FLAGS)" $(CARGO) build --release --target $(TRIPLE) $(STATIC_CONFIG) -p einhorn $(STATIC_ONLY)

.PHONY: demo
demo: ## the main job in ten seconds: serve, upgrade under load, stop
	$(CARGO) build --release -p einhorn -p time_server -p einhorn-bench
	target/release/demo

.PHONY: check
check: format-check lint unit ## format, lints and unit tests: the quick tier

.PHONY: format
format: setup ## put the source of every language into shape
	$(CARGO) fmt --all
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml
	$(CARGO) fmt --manifest-path bench/peers/ecdysis/Cargo.toml
	packaging/format

.PHONY: format-check
format-check: setup
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check
	$(CARGO) fmt --manifest-path bench/peers/ecdysis/Cargo.toml --check
	packaging/format --check

.PHONY: lint
lint: ## every lint, warnings denied
	$(CARGO) clippy --workspace --all-targets -- -D warnings

.PHONY: unit
unit: ## unit tests
	$(CARGO) test --workspace --lib --bins

# A policy that starts workers without end takes the simulation's memory, and no more.
SIM_MEMORY_KIB ?= 2000000

.PHONY: sim
sim: ## the policy in a simulated world, a million random steps (STEPS=n, SEED=n to replay one history)
	$(CARGO) test -p einhorn --lib --no-run
	ulimit -v $(SIM_MEMORY_KIB)
	$(CARGO) test -p einhorn --lib simulation::run::simulate -- --ignored --exact --nocapture

.PHONY: fuzz
fuzz: ## every reader given what nobody meant, 30 s each (FUZZ_SECONDS=n, TARGETS="psych json")
	fuzz/run $(TARGETS)

# Mutated loops take all memory that there is. A part: MUTANTS="--shard 1/8", or "-f FILE".
MUTANTS_MEMORY_KIB ?= 6000000

.PHONY: mutants
mutants: ## whether the unit tests notice changes in the policy, the state, the command socket (MUTANTS=ARGUMENTS)
	ulimit -v $(MUTANTS_MEMORY_KIB)
	nice -n 10 $(CARGO) mutants $(MUTANTS)

.PHONY: soak
soak: build ## ten minutes under load while everything happens to it (SOAK_SECONDS=n, SEED=n)
	$(CARGO) build --release -p einhorn-bench
	target/release/soak

.PHONY: setup
setup: ## install what the tests of every language need
	packaging/setup

.PHONY: test
test: setup format-check lint packages doc ## everything
	$(CARGO) test --workspace
	packaging/test

.PHONY: conformance
conformance: setup ## the table: rows that must hold, in every language (EINHORN_BIN: another master)
	$(CARGO) test -p einhorn-conformance

.PHONY: packages
packages: setup ## every package, into dist/
	packaging/build

.PHONY: generate
generate: ## man pages, completions and the tables of docs/, from the program's own tables
	$(CARGO) run --quiet -p einhorn-handbook

IS_QUICK = $(filter-out 0,$(QUICK))

# What it writes to docs/benchmarks `make generate` puts into the README.
.PHONY: bench
bench: ## the measurements, as ratios to a floor in the same run (QUICK=1: under two minutes)
	# The last of the static program's build is one link: the other build has the second processor
	# then, and what is left of them before.
	# The peers' turn needs the shell too.
	$(MAKE) --no-print-directory static $(if $(IS_QUICK),STATIC_ONLY="--bin einhorn") &
	static=$$!
	nice -n 19 $(CARGO) build --profile measure -p time_server -p einhorn-c -p einhorn-bench --lib \
		--bin time_server --bin bench --bin bench_worker --bin heavy
	wait $$static
	$(if $(IS_QUICK),,bench/peers/setup)
	EINHORN=$(STATIC)/einhorn target/measure/bench --write-to $(if $(IS_QUICK),target/bench,docs/benchmarks)

.PHONY: doc
doc: setup ## what every library says about itself, by its language's own tool, into target/doc
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps
	packaging/doc

.PHONY: install
install: static ## programs, man pages, completions, C library, unit into PREFIX (/usr/local), below DESTDIR
	$(CARGO) build --release -p einhorn-c
	FROM=$(STATIC) CFROM=target/release PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" packaging/install

.PHONY: uninstall
uninstall: ## remove what `make install` put there
	PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" packaging/install --remove

.PHONY: clean
clean: ## remove what was built
	$(CARGO) clean
	rm -rf dist
