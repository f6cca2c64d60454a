# Two commands do everything on a Debian 12 with Rust: make demo, make test.
# What they fetch and make lives in .cache/ and target/; see tools/ for the steps.


.PHONY: lib demo test bench clean distclean help

help:
	@echo 'make lib    build target/libmtdshim.so (ARM) and the host tool target/mtdshim'
	@echo 'make demo   flash a NOR and a NAND under qemu-arm, with real tools and a vendor-style updater'
	@echo 'make test   everything: guards, host crates, conformance with recorded kernels, real tools'
	@echo 'make bench  what the shim costs: ratios measured in turn (after make test; three minutes; see benches/run --help)'
	@echo 'make clean  remove what was built; make distclean also what was fetched'

lib:
	@tools/build-lib
	@tools/build-cli

demo:
	@tools/demo

test:
	@tools/test

bench: lib
	@benches/run

clean:
	rm -rf target .cache/clients

distclean: clean
	rm -rf .cache
