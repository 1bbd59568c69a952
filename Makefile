# Two commands do everything on a fresh Debian 12 with Swift 6: `make demo` and `make test`.

SWIFT ?= swift
PACKAGES := liblwip-dev pkg-config

FORMATTED := Package.swift Sources Tests Examples Fuzz/Targets Benchmarks/Package.swift Benchmarks/Sources Benchmarks/Tests
TOOLS := curl dnsutils hping3 iproute2 iputils-ping ncat nftables nmap socat traceroute
PEERS := golang-go golang-gvisor-gvisor-dev
# Python's environments, and the compiler for the one package of py-libp2p's that has no wheel.
PYTHON := gcc libc6-dev libgmp-dev python3-dev python3-venv

# Packages of their own, for what they depend on.
EXAMPLES := hummingbird-app grpc-call

.PHONY: demo test libp2p-peer examples docs test-release test-stacks test-asan test-tsan truth consumer fuzz bench bench-check bench-peers lint format setup clean

demo: setup
	$(SWIFT) run -c release vni-demo

# The HTTP client's tests wait out its time-outs, those of libp2p and of TCP in Swift take all cores for a while, and those of
# tunnels the event loop that all stacks share, so that the dials of others would time out: each go by themselves.
APART := NetstackHTTPTests NetstackLibP2PTests SwiftStackTests VNITests

test: setup libp2p-peer
	$(SWIFT) test $(addprefix --skip ,$(APART) TruthTests) $(MODE)
	for tests in $(APART); do $(SWIFT) test --filter $$tests $(MODE) || exit 1; done
	$(if $(MODE),,$(MAKE) consumer)

test-release:
	$(MAKE) test MODE="--configuration release"

# What stands on stacks, on TCP in Swift and on mixed pairs.
ON_STACKS := NetstackHTTPTests NetstackTests|NetstackLinksTests|NetstackNIOTests NetstackLibP2PTests.HostTests VNITests
PAIRS := swift lwip,swift swift,lwip

test-stacks: setup
	for stacks in $(PAIRS); do for tests in $(ON_STACKS:%='%'); do \
	    STACKS=$$stacks $(SWIFT) test --filter "$$tests" $(MODE) || exit 1; \
	done; done

# The same under a sanitizer each, one after the other: all are slow then, and dials would time out. Without the HTTP
# client's tests, which wait out its time-outs; of TCP in Swift without the days of virtual time, and without threads.
test-asan test-tsan: export SWIFT_BACKTRACE = enable=no
test-asan test-tsan: export LSAN_OPTIONS = suppressions=$(CURDIR)/Tests/leaks.supp:print_suppressions=0
test-asan test-tsan: export TSAN_OPTIONS = suppressions=$(CURDIR)/Tests/races.supp:print_suppressions=0
test-asan: setup
	$(SWIFT) test --sanitize address --scratch-path .build-asan --no-parallel --skip NetstackHTTPTests --skip InteropTests --skip PythonPeerTests --skip ProcessTests --skip LongRunTests --skip LossGridTests --skip FairnessTests --skip TruthTests

test-tsan: setup
	$(SWIFT) test --sanitize thread --scratch-path .build-tsan --no-parallel --skip NetstackHTTPTests --skip InteropTests --skip PythonPeerTests --skip ProcessTests --skip SwiftStackTests --skip TruthTests

# py-libp2p in an environment of its own, for NetstackLibP2PTests: made once, and again when its versions change.
libp2p-peer: .build/libp2p-peer/installed

.build/libp2p-peer/installed: Tests/NetstackLibP2PTests/Peer/requirements.txt | setup
	@$(MAKE) --no-print-directory setup PACKAGES="$(PYTHON)"
	python3 -m venv --clear $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --use-pep517 --requirement $<
	touch $@

# What real tools and kernels see through an exit and of a stack, between network namespaces: takes root, and three minutes
# for each TCP.
truth: setup
	@$(MAKE) --no-print-directory setup PACKAGES="$(TOOLS)"
	for stacks in lwip swift; do STACKS=$$stacks $(SWIFT) test --filter TruthTests || exit 1; done

# A package outside of this one that depends on it by path, builds, and makes one request.
consumer: setup
	Tests/Consumer/run

# The examples that are packages of their own, built and run.
examples: setup
	@$(MAKE) --no-print-directory setup PACKAGES=curl
	for example in $(EXAMPLES); do $(SWIFT) run --package-path Examples/$$example || exit 1; done

# Each target for a while, under libFuzzer and the address sanitizer. See Fuzz/README.md.
SECONDS ?= 60
TARGETS ?= $(notdir $(wildcard Fuzz/Corpus/*))
fuzz: setup
	Fuzz/run $(SECONDS) $(TARGETS)

# Everything side by side: three quarters of an hour on a quiet machine. See Benchmarks/README.md.
bench: setup
	$(SWIFT) build -c release --package-path Benchmarks
	Benchmarks/.build/release/vni-bench run --output Benchmarks/Results

# The tests of the benchmark, and a few of its ratios against those that Benchmarks/thresholds.json keeps.
bench-check: setup
	$(SWIFT) test -c release --package-path Benchmarks
	Benchmarks/.build/release/vni-bench check

# gVisor's stack, for `make bench`, which goes without where this has not been built.
bench-peers: setup
	@$(MAKE) --no-print-directory setup PACKAGES="$(PEERS)"
	cd Benchmarks/Peers/gvisor && GO111MODULE=off GOPATH=/usr/share/gocode go build -o ../.build/gvisor-peer .

# The documentation of all libraries, into .build/docs; warnings and public symbols without any are errors.
docs: setup
	Docs/build

lint:
	$(SWIFT) format lint --strict --recursive $(FORMATTED)

format:
	$(SWIFT) format --in-place --recursive $(FORMATTED)

# Installs what the build needs and is missing. openssl makes the certificates of the tests.
setup:
	@missing=""; \
	for package in $(PACKAGES) nghttp2-server openssl python3; do \
	    dpkg-query --show --showformat='$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; \
	done; \
	[ -z "$$missing" ] && exit 0; \
	if [ "$$(id -u)" != 0 ]; then \
	    echo "Packages are missing. Install them with:  sudo apt-get install --yes$$missing" >&2; exit 1; \
	fi; \
	apt-get update --quiet --quiet && apt-get install --yes --quiet --quiet --no-install-recommends $$missing

clean:
	rm -rf .build
