# Shortcuts that explain themselves: bare `make` lists every target whose line carries a `##` comment.
# A new target needs only that comment and its name in .PHONY. Works with GNU make 3.81, which macOS ships.

# `make run PORT=7000`. A PORT in the environment is somebody else's and does not count.
PORT = 6379
# `make demo ARGS=--help`
ARGS =
# `make test-matrix FILTER=waiting`
FILTER =
# `make soak MINUTES=60`
MINUTES = 10
# `make fuzz TIME=600`
TIME = 60
# `make simulate SCHEDULES=300`
SCHEDULES = 10000
# `make bench SERVER=/path/to/valkey-server`
SERVER =
MODULE = target/release/libcorral.so
# `make install PREFIX=/usr`. DESTDIR is for packagers: the root of what they pack.
PREFIX = /usr/local
DESTDIR =
# `make top URL=redis://user:password@host:6379`
URL = redis://127.0.0.1:6379

# With a shell that is not make's default, 3.81 looks commands up in the PATH set here.
SHELL := bash
# rustup puts cargo there, and only new terminals have it on their PATH.
export PATH := $(PATH):$(HOME)/.cargo/bin
# The module must lie where redis.conf and the tests look for it, not under target/TRIPLE/.
unexport CARGO_BUILD_TARGET

.PHONY: help run test test-matrix test-clients test-faults trace soak simulate model mutants fuzz memcheck deny demo cluster bench docs \
    figures top build install uninstall dist dist-all check clean setup setup-lints setup-sqlite port-free
# The steps of a target depend on their order: `make -j` must not shuffle them.
.NOTPARALLEL:

help:
	@echo 'Corral, a Redis module that ends cache stampedes. Targets:'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: port-free build ## Start redis-server with the module, in the foreground (PORT=6379)
	@tools/scripts/run $(PORT)

test: setup-sqlite build ## Run every test (minutes; the first time a quarter of an hour, half of it compiling)
	@echo '==> Every test, on two processors: about seven minutes of compiling the first time, seven of testing'
	cargo test --workspace --exclude corral-core
	cargo test -p corral-core --features steps,trace
	MAKE='$(MAKE)' tools/scripts/test-install '$(MODULE)'

test-matrix: build ## Run the integration tests on every supported server (slow; fetches them with pip)
	@tools/scripts/test-matrix $(FILTER)

soak: build ## A hundred clients and everything that can go wrong, at once (MINUTES=10)
	MINUTES=$(MINUTES) cargo test -p corral --test tests in_minutes_of_everything -- --ignored --nocapture

trace: setup ## The soak with a build that writes what its nodes are told, and the same told again (MINUTES=5)
	@echo 'The module with the feature trace, in a directory of its own: target/trace'
	cargo build --profile tools -p corral --features trace --target-dir target/trace
	rm -rf target/traces && mkdir -p target/traces
	CORRAL_TRACE=$(CURDIR)/target/traces/node CORRAL_MODULE=$(CURDIR)/target/trace/tools/libcorral.so MINUTES=$(MINUTES) \
	    cargo test -p corral --test tests in_minutes_of_everything -- --ignored --nocapture
	cargo run --profile tools -p corral-trace -- target/traces/node.*

test-faults: setup ## Have every function that the server calls panic, and see that nobody notices much
	@echo 'The module with the feature faults, in a directory of its own: target/faults'
	cargo build -p corral --features faults --target-dir target/faults
	CORRAL_MODULE=$(CURDIR)/target/faults/debug/libcorral.so cargo test -p corral --test tests -- faults:: --ignored

memcheck: build ## Run tests under valgrind: no invalid access, no leak of ours (slow)
	@tools/scripts/memcheck $(FILTER)

fuzz: build ## Feed arbitrary bytes to codec, arguments and a server, TIME=60 seconds each
	@tools/scripts/fuzz $(TIME)

deny: ## Check the dependencies: licences, sources, versions and, with a network, advisories
	@tools/scripts/deny

test-clients: build ## Try the package of each language against a server (FILTER=python; ARGS=quick; needs their toolchains)
	@tools/scripts/test-clients $(FILTER) $(ARGS)

# Not the module as it is installed: link-time optimisation would take longer than everything else here.
demo: setup-sqlite ## Show a cache stampede, and what ends it (two to three minutes, most of it compiling; then half a minute)
	@[ -x target/demo/corral-lab ] || \
	    echo '==> 1 of 3: compiling the module and the demo: 100 seconds on two processors, 160 with the Rust of Debian 13, this once'
	cargo build --quiet --profile demo -p corral -p corral-lab
	@tools/scripts/place-module target/demo/libcorral.so
	@echo '==> 2 of 3: a database is filled until its report takes 50 ms; 3 of 3: three runs of ten seconds or so'
	CORRAL_MODULE=target/demo/libcorral.so target/demo/corral-lab demo $(ARGS)

cluster: setup ## Three masters and three replicas: a slot moves, a master dies, and what clients see (a minute)
	@[ -x target/demo/examples/cluster ] || echo '==> Compiling module and tour: about a minute on two processors'
	cargo build --quiet --profile demo -p corral -p corral-testkit --lib --example cluster
	@tools/scripts/place-module target/demo/libcorral.so
	@CORRAL_MODULE=target/demo/libcorral.so target/demo/examples/cluster

top: setup ## Watch a server's leases, waiters and rebuilds, live (URL=redis://127.0.0.1:6379)
	@CORRAL_URL='$(URL)' cargo run --quiet --profile demo -p corral-top -- $(ARGS)

bench: setup-sqlite build ## Measure Corral beside what people use today (ARGS=--full; SERVER=/path/to/server)
	cargo run --profile tools -p corral-lab -- bench $(if $(SERVER),--server $(SERVER)) $(ARGS)

docs: build ## Write what the code and the figures say into the documents, between their markers
	cargo run --quiet --profile tools -p corral-docs

figures: setup-sqlite build ## Measure what the documents show (an hour, on a quiet machine), and write it there
	cargo run --profile tools -p corral-lab -- bench --full --figures docs/figures.txt
	cargo run --profile tools -p corral-lab -- demo --figures docs/figures.txt
	cargo run --quiet --profile tools -p corral-docs

build: setup ## Build the module: target/release/libcorral.so
	@[ -f $(MODULE) ] || echo '==> Compiling the module: about a minute and a half on two processors, the first time'
	cargo build --release -p corral --target-dir target
	@tools/scripts/place-module $(MODULE)

# Builds nothing: what root builds in somebody's clone stays root's.
install: ## Copy the built module to $(DESTDIR)$(PREFIX)/lib/redis/modules (PREFIX=/usr/local)
	@tools/scripts/install '$(MODULE)' '$(PREFIX)' '$(DESTDIR)'

uninstall: ## Remove what `make install` copied
	@tools/scripts/install --remove '$(PREFIX)' '$(DESTDIR)'

dist: build ## Pack a release: target/dist/corral-VERSION-SYSTEM.tar.gz and its sha256
	@tools/scripts/dist '$(MODULE)' target/dist

dist-all: ## The same for glibc 2.17, musl and aarch64 (needs pip install ziglang cargo-zigbuild)
	@tools/scripts/dist-all target/dist

check: setup-lints ## What CI runs besides the tests: formatting, lints, the walls between the crates
	@echo '==> Formatting: every file is as rustfmt writes it'
	cargo fmt --all --check
	@echo '==> Lints: clippy and the compiler have nothing to say, tests and demo included; Cargo.lock is up to date'
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked -p corral --features faults,trace -- -D warnings
	@echo '==> Purity: what Cargo, no_std and the lints cannot say of the walls between the crates'
	tools/scripts/purity
	@echo '==> Purity, self-test: the check catches each violation'
	tools/scripts/purity --self-test

model: ## Check the rules on the node, in every order that clients, clock, timer and failover can find (minutes)
	cargo run --profile tools -p corral-model --bin corral-model

mutants: ## Break the core on purpose, and see that the model catches each mistake (minutes)
	cargo run --profile tools -p corral-model --bin mutants

simulate: ## Play random schedules of hundreds of clients on the node, by a virtual clock (SCHEDULES=10000)
	SCHEDULES=$(SCHEDULES) cargo test --profile tools -p corral-core --test node simulation -- --nocapture

clean: ## Remove everything that was built
	rm -rf target tools/fuzz/target tools/fuzz/artifacts demo-report.html bench-report.html

setup: ## Install what the build and the tests need and this machine lacks
	@tools/scripts/setup

setup-lints:
	@tools/scripts/setup lints sqlite

setup-sqlite:
	@tools/scripts/setup sqlite

# Known before a minute of building, not after.
port-free:
	@tools/scripts/run --check-port $(PORT)
