# Each target is one line that a person would type. `make demo` and `make test` install what they need.

PREFIX ?= /usr
DESTDIR ?=
BINDIR = $(PREFIX)/bin
SHARE = $(DESTDIR)$(PREFIX)/share
# The bus, systemd and polkit of all versions look here, whatever PREFIX the programs have.
SYSTEM = $(DESTDIR)/usr
UNITDIR ?= /usr/lib/systemd/system
ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
RELEASE = target/release
PROGRAMS = sip-profiled sip-profiles sip-profiles-tray
BUILT = $(addprefix $(RELEASE)/,$(PROGRAMS))
DENY = target/tools/bin/cargo-deny

.PHONY: all demo test lint deny figures build programs install install-service install-command install-tray \
	uninstall deb install-test packages

all: build

# Shows the service at work on a private bus; `make demo AOR=alice@example.org REGISTRAR=sip.example.org` with a
# real account (asks for the password).
demo: packages
	cargo build --workspace
	@AOR="$(AOR)" REGISTRAR="$(REGISTRAR)" bash tests/demo.sh

# Everything that must hold before a change lands.
test: packages lint deny
	cargo build --workspace
	cargo test --workspace
	$(MAKE) install-test

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Licences, sources and versions of the dependencies.
deny: $(DENY)
	$(DENY) check bans licenses sources

$(DENY):
	cargo install cargo-deny --version 0.20.2 --locked --no-default-features --quiet --root target/tools --target-dir target/tools/build
	rm -rf target/tools/build

# Prints what it costs and what it survives.
figures: packages
	cargo build --workspace --release
	$(RELEASE)/sip-profiles-figures

build:
	cargo build --workspace --release --locked

packages:
	@bash tests/packages.sh

# Builds only what is missing: `make build`, then `sudo make install` needs no toolchain.
install: install-service install-command install-tray

programs: $(BUILT)

$(BUILT):
	$(MAKE) build

install-service: $(RELEASE)/sip-profiled
	install -D -m 755 $(RELEASE)/sip-profiled $(DESTDIR)$(BINDIR)/sip-profiled
	install -D -m 644 -t $(SHARE)/dbus-1/interfaces dbus/interfaces/*.xml
	install -D -m 644 dbus/install/org.sipprofiles.conf $(SYSTEM)/share/dbus-1/system.d/org.sipprofiles.conf
	install -D -m 644 -t $(SYSTEM)/share/polkit-1/actions dbus/install/org.sipprofiles.policy
	install -D -m 644 dbus/install/sip-profiles.sysusers $(SYSTEM)/lib/sysusers.d/sip-profiles.conf
	install -D -m 644 dbus/install/sip-profiles.tmpfiles $(SYSTEM)/lib/tmpfiles.d/sip-profiles.conf
	install -D -m 644 -t $(SYSTEM)/share/dbus-1/system-services dbus/install/org.sipprofiles.service
	install -D -m 644 -t $(DESTDIR)$(UNITDIR) dbus/install/sip-profiled.service dbus/install/sip-profiled-boot.service
	sed -i 's|@bindir@|$(BINDIR)|' $(SYSTEM)/share/dbus-1/system-services/org.sipprofiles.service \
		$(DESTDIR)$(UNITDIR)/sip-profiled.service
	install -D -m 644 -t $(SHARE)/man/man8 docs/man/sip-profiled.8

# The man page and the completions come from the command itself.
install-command: $(RELEASE)/sip-profiles
	install -D -m 755 $(RELEASE)/sip-profiles $(DESTDIR)$(BINDIR)/sip-profiles
	install -d $(SHARE)/man/man1 $(SHARE)/bash-completion/completions $(DESTDIR)$(ZSHDIR) $(SHARE)/fish/vendor_completions.d
	$(RELEASE)/sip-profiles man > $(SHARE)/man/man1/sip-profiles.1
	$(RELEASE)/sip-profiles completions bash > $(SHARE)/bash-completion/completions/sip-profiles
	$(RELEASE)/sip-profiles completions zsh > $(DESTDIR)$(ZSHDIR)/_sip-profiles
	$(RELEASE)/sip-profiles completions fish > $(SHARE)/fish/vendor_completions.d/sip-profiles.fish

# The applet and its editor, with icons and desktop files.
install-tray: $(RELEASE)/sip-profiles-tray
	install -D -m 755 $(RELEASE)/sip-profiles-tray $(DESTDIR)$(BINDIR)/sip-profiles-tray
	install -D -m 644 -t $(SHARE)/man/man1 docs/man/sip-profiles-tray.1

# Removes what `install` with the same variables puts there (it asks `install`, with empty programs); profiles,
# passwords and the system user stay.
uninstall:
	@stage=$$(mktemp -d) && trap 'rm -rf "$$stage"' EXIT && cd "$$stage" && \
	for program in $(PROGRAMS); do printf '#!/bin/sh\n' > $$program && chmod 755 $$program; done && \
	$(MAKE) --silent -C "$(CURDIR)" install DESTDIR="$$stage/root" RELEASE="$$stage" && \
	cd root && find . ! -type d -printf '%P\n' | while read -r file; do rm -f "$(abspath $(DESTDIR))/$$file"; done

# Debian packages in target/debian: sip-profiled, sip-profiles, sip-profiles-tray.
deb: build
	@bash tests/packages.sh debhelper dpkg-dev lintian pkg-config systemd
	@bash debian/make.sh

# A clean Debian gets those packages: activation, upgrade, removal, purge, and a boot.
install-test: packages deb
	@bash tests/install.sh
