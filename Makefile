# Each target is one line that a person would type. `make demo` and `make test` install what they need.

PREFIX ?= /usr
DESTDIR ?=
BINDIR = $(PREFIX)/bin
SHARE = $(DESTDIR)$(PREFIX)/share
SYSTEMD = $(DESTDIR)/usr/lib/systemd/system
RELEASE = target/release
DENY = target/tools/bin/cargo-deny
FUZZ = target/tools/bin/cargo-fuzz
TOOL = cargo install --locked --debug --quiet --root target/tools --target-dir target/tools/build
FUZZ_SECONDS ?= 20

.PHONY: all demo test lint deny fuzz figures build editor install install-editor packages

all: build

# Shows the service at work on a private bus; `make demo AOR=alice@example.org REGISTRAR=sip.example.org` with a
# real account (asks for the password).
demo: packages
	cargo build
	@AOR="$(AOR)" REGISTRAR="$(REGISTRAR)" bash tests/demo.sh

# Everything that must hold before a change lands.
test: packages lint deny
	cargo build --workspace
	cargo test --workspace
	$(MAKE) fuzz

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

# Short runs of the fuzz targets; `make fuzz FUZZ_SECONDS=3600` runs each for an hour.
fuzz: packages $(FUZZ)
	bash tests/fuzz.sh $(FUZZ_SECONDS)

$(FUZZ):
	$(TOOL) cargo-fuzz --version 0.13.2
	rm -rf target/tools/build

# Prints what it costs and what it survives.
figures: packages
	cargo build --release
	$(RELEASE)/sip-profiles-figures
	$(RELEASE)/sip-profiles-outages

# Without the editor: that needs GTK 4.8 and libadwaita 1.2 (Debian: libgtk-4-dev, libadwaita-1-dev).
build:
	cargo build --release

editor:
	cargo build --release --package sip-profiles-editor

packages:
	@bash tests/packages.sh

install: build
	install -D -m 755 $(RELEASE)/sip-profiled $(DESTDIR)$(BINDIR)/sip-profiled
	install -D -m 755 $(RELEASE)/sip-profiles $(DESTDIR)$(BINDIR)/sip-profiles
	install -D -m 644 -t $(SHARE)/dbus-1/interfaces dbus/interfaces/*.xml
	install -D -m 644 dbus/install/org.sipprofiles.conf $(SHARE)/dbus-1/system.d/org.sipprofiles.conf
	install -d $(SHARE)/dbus-1/system-services $(SYSTEMD) $(SHARE)/man/man1
	sed 's|@bindir@|$(BINDIR)|' dbus/install/org.sipprofiles.service > $(SHARE)/dbus-1/system-services/org.sipprofiles.service
	sed 's|@bindir@|$(BINDIR)|' dbus/install/sip-profiled.service > $(SYSTEMD)/sip-profiled.service
	install -m 644 dbus/install/sip-profiled-boot.service $(SYSTEMD)/sip-profiled-boot.service
	install -D -m 644 dbus/install/sip-profiles.sysusers $(DESTDIR)/usr/lib/sysusers.d/sip-profiles.conf
	$(RELEASE)/sip-profiles man > $(SHARE)/man/man1/sip-profiles.1
	install -d $(SHARE)/bash-completion/completions $(SHARE)/zsh/vendor-completions $(SHARE)/fish/vendor_completions.d
	$(RELEASE)/sip-profiles completions bash > $(SHARE)/bash-completion/completions/sip-profiles
	$(RELEASE)/sip-profiles completions zsh > $(SHARE)/zsh/vendor-completions/_sip-profiles
	$(RELEASE)/sip-profiles completions fish > $(SHARE)/fish/vendor_completions.d/sip-profiles.fish
	install -D -m 755 $(RELEASE)/sip-profiles-tray $(DESTDIR)$(BINDIR)/sip-profiles-tray
	install -D -m 644 -t $(SHARE)/icons/hicolor/symbolic/status tray/icons/hicolor/symbolic/status/*.svg
	install -D -m 644 -t $(SHARE)/icons/hicolor/scalable/status tray/icons/hicolor/scalable/status/*.svg
	install -D -m 644 -t $(SHARE)/icons/hicolor/scalable/apps tray/icons/hicolor/scalable/apps/*.svg
	install -D -m 644 -t $(SHARE)/applications tray/install/org.sipprofiles.Tray.desktop
	install -D -m 644 -t $(SHARE)/metainfo tray/install/org.sipprofiles.Tray.metainfo.xml
	install -D -m 644 tray/install/org.sipprofiles.Tray-autostart.desktop $(DESTDIR)/etc/xdg/autostart/org.sipprofiles.Tray.desktop

install-editor: editor
	install -D -m 755 $(RELEASE)/sip-profiles-editor $(DESTDIR)$(BINDIR)/sip-profiles-editor
	install -D -m 644 -t $(SHARE)/applications tray/editor/install/org.sipprofiles.Editor.desktop
