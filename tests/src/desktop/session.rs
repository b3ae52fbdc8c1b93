//! The files of a session: its bus, its panel, its notifications.

use std::fs;
use std::path::{Path, PathBuf};

use super::make_private;

/// The panel at the upper edge: an empty stretch, then the status area. No clock: pictures would differ each time.
const PANEL: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-panel" version="1.0">
  <property name="configver" type="int" value="2"/>
  <property name="panels" type="array"><value type="int" value="1"/>
    <property name="dark-mode" type="bool" value="true"/>
    <property name="panel-1" type="empty">
      <property name="position" type="string" value="p=6;x=0;y=0"/>
      <property name="position-locked" type="bool" value="true"/>
      <property name="length" type="uint" value="100"/>
      <property name="size" type="uint" value="32"/>
      <property name="icon-size" type="uint" value="24"/>
      <property name="plugin-ids" type="array">
        <value type="int" value="1"/><value type="int" value="2"/><value type="int" value="3"/>
      </property>
    </property>
  </property>
  <property name="plugins" type="empty">
    <property name="plugin-1" type="string" value="separator">
      <property name="expand" type="bool" value="true"/>
      <property name="style" type="uint" value="0"/>
    </property>
    <property name="plugin-2" type="string" value="systray"/>
    <property name="plugin-3" type="string" value="separator">
      <property name="style" type="uint" value="0"/>
    </property>
  </property>
</channel>
"#;

/// Windows come up in the middle.
const WINDOWS: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfwm4" version="1.0">
  <property name="general" type="empty">
    <property name="placement_mode" type="string" value="center"/>
    <property name="placement_ratio" type="int" value="100"/>
  </property>
</channel>
"#;

/// Writes them below `root`.
pub fn prepare(root: &Path) {
    let settings = root.join("home/.config/xfce4/xfconf/xfce-perchannel-xml");
    fs::create_dir_all(&settings).expect("our own directory");
    make_private(&root.join("run"));
    fs::write(settings.join("xfce4-panel.xml"), PANEL).expect("our own directory");
    fs::write(settings.join("xfwm4.xml"), WINDOWS).expect("our own directory");
    fs::write(root.join("dunstrc"), notices()).expect("our own directory");
    fs::write(root.join("bus.conf"), bus(root)).expect("our own directory");
}

/// XFCE's, which has a folder of its own below the architecture's.
pub fn settings_daemon() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut files = folders.map(|folder| folder.path().join("xfce4/xfconf/xfconfd"));
    files.find(|file| file.is_file()).expect("xfconf is installed")
}

/// Nothing on it is started by the bus: what runs is what the rig has started, and ends with it.
fn bus(root: &Path) -> String {
    format!(
        r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={root}/bus</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#,
        root = root.display(),
    )
}

fn notices() -> String {
    let icons = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tray/icons/hicolor/scalable");
    format!(
        "[global]\nwidth = 380\nheight = 300\norigin = top-right\noffset = 10x42\nfont = Sans 10\nformat = \"<b>%s</b>\\n%b\"\n\
         frame_width = 1\nframe_color = \"#5a5a5a\"\npadding = 12\nhorizontal_padding = 12\ntext_icon_padding = 12\n\
         idle_threshold = 0\nshow_indicators = no\nmin_icon_size = 32\nmax_icon_size = 32\nicon_path = {icons}/status:{icons}/apps\n\
         [urgency_low]\nbackground = \"#2d2d2d\"\nforeground = \"#eeeeee\"\ntimeout = 0\n\
         [urgency_normal]\nbackground = \"#2d2d2d\"\nforeground = \"#eeeeee\"\ntimeout = 0\n",
        icons = icons.display(),
    )
}
