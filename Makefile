# `make help` lists the targets. `make check` is for every few minutes, `make test` is everything.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

CARGO ?= cargo
PREFIX ?= /usr/local
DESTDIR ?=
BINDIR = $(DESTDIR)$(PREFIX)/bin

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## the release binaries, target/release/einhorn and einhornsh
	$(CARGO) build --release -p einhorn

.PHONY: demo
demo: ## the main job in ten seconds: serve, upgrade under load, stop
	$(CARGO) build --release -p einhorn -p time_server -p einhorn-bench
	target/release/demo

.PHONY: check
check: format-check lint unit ## format, lints and unit tests: the quick tier

.PHONY: format
format: ## put the source into shape
	$(CARGO) fmt --all

.PHONY: format-check
format-check:
	$(CARGO) fmt --all --check

.PHONY: lint
lint: ## every lint, warnings denied
	$(CARGO) clippy --workspace --all-targets -- -D warnings

.PHONY: unit
unit: ## unit tests
	$(CARGO) test --workspace --lib --bins

.PHONY: setup
setup: ## install what the tests of every language need
	packaging/setup

.PHONY: test
test: setup format-check lint packages ## everything
	$(CARGO) test --workspace
	packaging/test

.PHONY: conformance
conformance: setup ## the table: rows that must hold, in every language (EINHORN_BIN: another master)
	$(CARGO) test -p einhorn-conformance

.PHONY: packages
packages: setup ## every package, into dist/
	packaging/build

.PHONY: bench
bench: ## the measurements, as ratios to a floor in the same run
	$(CARGO) build --release -p einhorn -p time_server -p einhorn-bench
	target/release/bench

.PHONY: doc
doc: ## the Rust documentation
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps

.PHONY: install
install: ## binaries and the C library into PREFIX (/usr/local), below DESTDIR
	$(CARGO) build --release -p einhorn -p einhorn-c
	install -d $(BINDIR)
	install -m 755 target/release/einhorn target/release/einhornsh $(BINDIR)
	FROM=target/release DESTDIR=$(DESTDIR) PREFIX=$(PREFIX) sdk-c/install

.PHONY: clean
clean: ## remove what was built
	$(CARGO) clean
	rm -rf dist
