# Every target installs what it lacks (Debian packages through apt, jars through Maven); only cargo is presumed.
.PHONY: help demo test check bench fuzz release
.DEFAULT_GOAL := help

SECONDS_OF_FUZZING ?= 300
# Most tests wait for services: more of them at a time than there are cores.
export RUST_TEST_THREADS ?= 3

help: ## what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## everything in one process, with events flowing; ARGS="--events 1000 --exit" are passed on
	tests/stack/packages build postgres
	cargo run -- demo $(ARGS)

test: ## all tests, against one real Kafka, schema registry and Postgres that come and go with the run
	tests/stack/packages build deployment browser
	tests/alerts
	tests/dashboard
	cargo test --workspace --no-run
	tests/deployment
	tests/stack/run cargo test --workspace

check: ## format, lints and dependencies, as CI sees them
	tests/stack/packages build
	cargo fmt --all --check
	tests/dependencies
	cargo clippy --workspace --all-targets -- -D warnings

bench: ## benchmarks of parts, then of the whole service in rounds, about an hour; PEERS=folder brings others in
	tests/stack/packages build postgres
	cargo build --release --bin vitrina --example load
	tests/stack/run cargo bench --workspace --features vitrina-projectors/bench
	benches/whole/run $(ARGS)

release: ## what is shipped: a tarball and a Debian package, in target/shipped
	tests/stack/packages build shipping
	deploy/release

fuzz: ## feeds foreign bytes to the decoder; needs a nightly toolchain, is run by hand
	cargo fuzz --version >/dev/null 2>&1 || cargo install cargo-fuzz
	cd avro && for target in $$(cargo +nightly fuzz list); do \
		cargo +nightly fuzz run $$target -- -max_total_time=$(SECONDS_OF_FUZZING) || exit 1; done
