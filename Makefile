# Each target is one line that a person would type. `make demo` and `make test` install what they need.

PREFIX ?= /usr
DESTDIR ?=
BINDIR = $(PREFIX)/bin
SHARE = $(DESTDIR)$(PREFIX)/share
# The bus, systemd and polkit of all versions look here, whatever PREFIX the programs have.
SYSTEM = $(DESTDIR)/usr
UNITDIR ?= /usr/lib/systemd/system
ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
# `debug` makes packages of what the tests have built, sooner.
PROFILE ?= release
RELEASE = target/$(PROFILE)
PROGRAMS = sip-profiled sip-profiles sip-profiles-tray sip-profiles-editor
BUILT = $(addprefix $(RELEASE)/,$(PROGRAMS))
DENY = target/tools/bin/cargo-deny
FUZZ = target/tools/bin/cargo-fuzz
TOOL = cargo install --locked --debug --quiet --root target/tools --target-dir target/tools/build
FUZZ_SECONDS ?=

.PHONY: all demo test lint deny fuzz figures pictures build programs install install-service install-command install-tray \
	install-editor uninstall deb install-test packages

all: build

# Shows the service at work on a private bus; `make demo AOR=alice@example.org REGISTRAR=sip.example.org` with a
# real account (asks for the password).
demo:
	@bash tests/packages.sh gcc libc6-dev dbus systemd
	cargo build
	@AOR="$(AOR)" REGISTRAR="$(REGISTRAR)" bash tests/demo.sh

# Everything that must hold before a change lands.
test: packages lint deny
	cargo build --workspace
	cargo test --workspace
	$(MAKE) fuzz
	$(MAKE) install-test PROFILE=debug

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Licences, sources and versions of the dependencies.
deny: $(DENY)
	$(DENY) check bans licenses sources

$(DENY):
	$(TOOL) cargo-deny --version 0.20.2 --no-default-features
	rm -rf target/tools/build

# A fixed run of each fuzz target; `make fuzz FUZZ_SECONDS=3600` looks for new finds for an hour each.
fuzz: packages $(FUZZ)
	bash tests/fuzz.sh $(FUZZ_SECONDS)

$(FUZZ):
	$(TOOL) cargo-fuzz --version 0.13.2
	rm -rf target/tools/build

# Prints what it costs and what it survives.
figures: packages
	cargo build --release
	target/release/sip-profiles-figures
	target/release/sip-profiles-outages
	target/release/sip-profiles-desktop-figures

# Takes the pictures of the documentation anew.
pictures: packages
	cargo build --workspace
	PICTURES="$(CURDIR)/docs/images" cargo test -p sip-profiles-tests --test desktop

# The editor needs GTK 4.8 and libadwaita 1.2 (Debian: libgtk-4-dev, libadwaita-1-dev); without it: cargo build --release.
build:
	cargo build --workspace --locked $(if $(filter release,$(PROFILE)),--release)

packages:
	@bash tests/packages.sh

# Builds only what is missing: `make build`, then `sudo make install` needs no toolchain.
install: install-service install-command install-tray install-editor

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
	chmod 644 $(SHARE)/man/man1/sip-profiles.1 $(SHARE)/bash-completion/completions/sip-profiles \
		$(DESTDIR)$(ZSHDIR)/_sip-profiles $(SHARE)/fish/vendor_completions.d/sip-profiles.fish

# The applet, with icons and desktop files.
install-tray: $(RELEASE)/sip-profiles-tray
	install -D -m 755 $(RELEASE)/sip-profiles-tray $(DESTDIR)$(BINDIR)/sip-profiles-tray
	install -D -m 644 -t $(SHARE)/man/man1 docs/man/sip-profiles-tray.1
	install -D -m 644 -t $(SHARE)/icons/hicolor/symbolic/status tray/icons/hicolor/symbolic/status/*.svg
	install -D -m 644 -t $(SHARE)/icons/hicolor/scalable/status tray/icons/hicolor/scalable/status/*.svg
	install -D -m 644 -t $(SHARE)/icons/hicolor/scalable/apps tray/icons/hicolor/scalable/apps/*.svg
	install -D -m 644 -t $(SHARE)/applications tray/install/org.sipprofiles.Tray.desktop
	install -D -m 644 -t $(SHARE)/metainfo tray/install/org.sipprofiles.Tray.metainfo.xml
	install -D -m 644 tray/install/org.sipprofiles.Tray-autostart.desktop $(DESTDIR)/etc/xdg/autostart/org.sipprofiles.Tray.desktop

# The account window; needs GTK 4.8 and libadwaita 1.2.
install-editor: $(RELEASE)/sip-profiles-editor
	install -D -m 755 $(RELEASE)/sip-profiles-editor $(DESTDIR)$(BINDIR)/sip-profiles-editor
	install -D -m 644 -t $(SHARE)/man/man1 docs/man/sip-profiles-editor.1
	install -D -m 644 -t $(SHARE)/applications tray/editor/install/org.sipprofiles.Editor.desktop

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
	@PROFILE=$(PROFILE) bash debian/make.sh

# A clean Debian gets those packages: activation, upgrade, removal, purge, and a boot.
install-test: packages deb
	@PROFILE=$(PROFILE) bash tests/install.sh
