//! The real binary: run to its end, or as a server.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, mpsc},
    thread,
};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use rustls::ClientConfig;
use tempfile::TempDir;

use super::{PATIENCE, pki::trusting_file, until_now};

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) ok: bool,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The binary, with nothing of the tests' environment that it would take for itself.
pub(crate) fn outrigger() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outrigger"));
    for (variable, _) in std::env::vars_os() {
        if variable == "POD_NAMESPACE" || variable.to_string_lossy().starts_with("OUTRIGGER_") {
            command.env_remove(variable);
        }
    }
    command
}

/// Runs it to its end with `input` on standard input.
pub(crate) fn run(command: &mut Command, input: &str) -> Run {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_owned());
    // A run that refuses its arguments does not read its input.
    let writer = thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { ok: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
}

/// A folder of manifests.
pub(crate) fn folder<const N: usize>(files: [(&str, &str); N]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// `outrigger serve`, killed with the value.
pub(crate) struct Serving {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    /// Where reviews are answered.
    pub(crate) reviews: SocketAddr,
    /// Where health and metrics are.
    pub(crate) admin: SocketAddr,
    certs: PathBuf,
    _own: TempDir,
}

impl Serving {
    /// Serves a folder on free ports, and is ready.
    pub(crate) fn folder(from: &Path) -> Self {
        Self::start(&mut outrigger(), &["--from", from.to_str().unwrap()])
    }

    /// Serves with these arguments, on free ports, and is ready.
    pub(crate) fn start(command: &mut Command, arguments: &[&str]) -> Self {
        let own = tempfile::tempdir().unwrap();
        let certs = own.path().join("certs");
        command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--certs"]).arg(&certs).args(arguments);
        Self::spawn(command, certs, own)
    }

    /// Runs a command that serves, and waits until it is ready.
    pub(crate) fn spawn(command: &mut Command, certs: PathBuf, own: TempDir) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (kept, (found, addresses)) = (Arc::clone(&lines), mpsc::channel());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if let (Some(reviews), Some(admin)) = (address(&line, "reviews="), address(&line, "admin=")) {
                    found.send((reviews, admin)).ok();
                }
                kept.lock().push(line);
            }
        });
        let Ok((reviews, admin)) = addresses.recv_timeout(PATIENCE) else {
            drop(child.kill());
            panic!("the server does not start:\n{}", lines.lock().join("\n"))
        };
        let serving = Self { child, lines, reviews, admin, certs, _own: own };
        until_now("the server is ready", || serving.get("/readyz").0.eq(&200).then_some(()));
        serving
    }

    /// Status and body of a page of the admin port.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        self.ask("GET", path, "")
    }

    /// The same, of what is put there.
    pub(crate) fn put(&self, path: &str, body: &str) -> (u16, String) {
        self.ask("PUT", path, body)
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.admin).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "{method} {path} HTTP/1.0\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// The value of one series.
    pub(crate) fn metric(&self, series: &str) -> u64 {
        super::metric(&self.get("/metrics").1, series)
    }

    /// What it wrote to standard error.
    pub(crate) fn log(&self) -> String {
        self.lines.lock().join("\n")
    }

    /// A client that trusts the throw-away CA.
    pub(crate) fn trust(&self) -> ClientConfig {
        trusting_file(&self.certs.join("ca.crt"))
    }

    /// Asks it to end.
    pub(crate) fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        until_now("the end of the server", || self.child.try_wait().unwrap())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn address(line: &str, name: &str) -> Option<SocketAddr> {
    if let Ok(line) = serde_json::from_str::<serde_json::Value>(line) {
        return line["fields"][name.trim_end_matches('=')].as_str()?.parse().ok();
    }
    line.split_whitespace().find_map(|word| word.strip_prefix(name))?.parse().ok()
}
