//! Nothing is left when the test process is killed. Needs no control plane.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::keys;
use crate::supervisor::{Program, Supervisor};

/// Makes this executable a stand-in for the tests: it starts a supervised process and waits to be killed.
pub(crate) const TESTS_ROLE: &str = "--as-tests";
/// Makes this executable the supervised process: it holds a port until it is killed.
pub(crate) const SERVER_ROLE: &str = "--as-server";

pub(crate) fn nothing_is_left_when_the_tests_are_killed() -> Result<()> {
    let (folder, port) = (new_folder()?, keys::free_port()?);
    let mut tests = Command::new(std::env::current_exe()?)
        .args([TESTS_ROLE.into(), folder.clone().into_os_string(), port.to_string().into()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(tests.stdout.take().context("no output")?).read_line(&mut line)?;
    assert_eq!(line, "up\n");
    ensure!(answers(port) && folder.exists(), "nothing runs that could be left");
    tests.kill()?;
    tests.wait()?;
    soon("the port is free", || TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())?;
    soon("the folder is gone", || !folder.exists())
}

pub(crate) fn nothing_is_left_when_the_tests_end() -> Result<()> {
    let (folder, port) = (new_folder()?, keys::free_port()?);
    let supervisor = Supervisor::start(Some(&folder))?;
    let server = supervisor.run(server(&folder, port)?)?;
    soon("the server listens", || answers(port))?;
    drop(supervisor);
    ensure!(answers(port), "the server still belongs to somebody");
    drop(server);
    ensure!(!answers(port) && !folder.exists(), "the end was not awaited");
    Ok(())
}

/// The life of the stand-in for the tests.
pub(crate) fn be_tests(mut args: impl Iterator<Item = OsString>) -> Result<()> {
    let folder = PathBuf::from(args.next().context("which folder?")?);
    let port = port(args.next())?;
    let supervisor = Supervisor::start(Some(&folder))?;
    let _server = supervisor.run(server(&folder, port)?)?;
    soon("the server listens", || answers(port))?;
    writeln!(std::io::stdout(), "up")?;
    // Whoever started this never writes: it blocks until it is killed.
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

/// The life of the supervised process.
pub(crate) fn be_server(mut args: impl Iterator<Item = OsString>) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port(args.next())?))?;
    loop {
        listener.accept()?;
    }
}

fn server(folder: &Path, port: u16) -> Result<Program> {
    Ok(Program {
        name: "server".to_owned(),
        path: std::env::current_exe()?,
        args: vec![SERVER_ROLE.to_owned(), port.to_string()],
        env: [].into(),
        folder: folder.to_owned(),
        log: folder.join("server.log"),
    })
}

fn new_folder() -> Result<PathBuf> {
    Ok(tempfile::Builder::new().prefix("leftovers-").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?.keep())
}

fn port(text: Option<OsString>) -> Result<u16> {
    Ok(text.and_then(|text| text.into_string().ok()).context("which port?")?.parse()?)
}

fn answers(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn soon(what: &str, holds: impl Fn() -> bool) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        ensure!(Instant::now() < deadline, "not within 10 s: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
