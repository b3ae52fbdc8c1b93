//! Two hosts of a test's own: network namespaces joined by a cable (veth). The service lives on the laptop, servers
//! live in the office.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tempfile::TempDir;

use crate::registrar::{Behaviour, Registrar};

/// The office's addresses; the laptop's are 192.0.2.1 and 2001:db8::1.
pub const OFFICE: &str = "192.0.2.10";
/// The same for IPv6.
pub const OFFICE_V6: &str = "2001:db8::10";

/// The two hosts. They end with it.
pub struct Network {
    laptop: String,
    office: String,
    directory: TempDir,
    names: Option<Pid>,
}

impl Network {
    /// Makes the hosts and the cable between them.
    pub fn new() -> Network {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let stem = format!("sip-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = tempfile::Builder::new().prefix("sip-network-").tempdir().expect("a directory");
        let network = Network {
            laptop: format!("{stem}-laptop"),
            office: format!("{stem}-office"),
            directory,
            names: None,
        };
        run(&["netns", "add", &network.laptop]);
        run(&["netns", "add", &network.office]);
        let (laptop, office) = (&network.laptop, &network.office);
        run(&[
            "-n", laptop, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", office,
        ]);
        network.office(&["addr", "add", &format!("{OFFICE}/24"), "dev", "cable"]);
        network.office(&["addr", "add", &format!("{OFFICE_V6}/64"), "dev", "cable", "nodad"]);
        network.office(&["link", "set", "lo", "up"]);
        network.office(&["link", "set", "cable", "up"]);
        network.write_resolver();
        network
    }

    /// The same with the laptop connected.
    pub fn connected() -> Network {
        let network = Network::new();
        network.laptop(&["addr", "add", "192.0.2.1/24", "dev", "cable"]);
        network.laptop(&["addr", "add", "2001:db8::1/64", "dev", "cable", "nodad"]);
        network.laptop(&["link", "set", "cable", "up"]);
        network
    }

    /// `ip ARGUMENTS` on the laptop.
    pub fn laptop(&self, arguments: &[&str]) {
        run(&[&["-n", &self.laptop], arguments].concat());
    }

    /// `ip ARGUMENTS` in the office.
    pub fn office(&self, arguments: &[&str]) {
        run(&[&["-n", &self.office], arguments].concat());
    }

    /// A command that runs in the office.
    pub fn office_command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.office, program]);
        command
    }

    /// What to put in front of a shell command so that it runs on the laptop, with the office's name server.
    pub fn on_laptop(&self) -> String {
        let names = self.directory.path().join("resolv.conf");
        format!(
            "ip netns exec {} unshare -m sh -c 'mount --bind {} /etc/resolv.conf && exec \"$@\"' --",
            self.laptop,
            names.display()
        )
    }

    /// Writes the laptop's list of name servers, as if they were others.
    pub fn write_resolver(&self) {
        std::fs::write(self.directory.path().join("resolv.conf"), format!("nameserver {OFFICE}\n"))
            .expect("our own directory");
    }

    /// A registrar in the office.
    pub fn registrar(&self, address: &str, behaviour: Behaviour) -> Registrar {
        let address = SocketAddr::new(address.parse().expect("an address"), 0);
        let (udp, tcp) = self.in_office(move || {
            let udp = UdpSocket::bind(address).expect("a free port");
            let tcp = TcpListener::bind(udp.local_addr().expect("it is bound")).expect("nobody else is here");
            (udp, tcp)
        });
        Registrar::on(udp, tcp, behaviour).expect("sockets of our own")
    }

    /// Starts a name server in the office, in place of the one before. `records` are dnsmasq's options; other names
    /// under `test` do not exist.
    pub fn serve_names(&mut self, records: &[String]) {
        self.end_names();
        let pid_file = self.directory.path().join("dnsmasq.pid");
        let done = self
            .office_command("dnsmasq")
            .args(["--conf-file=/dev/null", "--no-resolv", "--no-hosts"])
            .args([
                "--user=root",
                "--bind-interfaces",
                "--local=/test/",
                &format!("--listen-address={OFFICE}"),
            ])
            .arg(format!("--pid-file={}", pid_file.display()))
            .args(records)
            .status()
            .expect("iproute2 is installed");
        assert!(done.success(), "dnsmasq does not start: {done}");
        self.names = read_pid(&pid_file);
    }

    fn end_names(&mut self) {
        let Some(pid) = self.names.take() else { return };
        let _ = kill_process(pid, Signal::TERM);
        for _ in 0..500 {
            if test_kill_process(pid).is_err() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Sockets stay where they are made, so a thread of the office makes them.
    fn in_office<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let place = File::open(Path::new("/run/netns").join(&self.office)).expect("the namespace is there");
        let thread = std::thread::spawn(move || {
            use std::os::fd::AsFd;
            move_into_link_name_space(place.as_fd(), Some(LinkNameSpaceType::Network)).expect("we are root");
            work()
        });
        thread.join().expect("the office is reached")
    }
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.end_names();
        for name in [&self.laptop, &self.office] {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

fn read_pid(path: &Path) -> Option<Pid> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok().and_then(Pid::from_raw)
}

fn run(arguments: &[&str]) {
    let done = Command::new("ip").args(arguments).status().expect("iproute2 is installed");
    assert!(done.success(), "ip {arguments:?}: {done}");
}
