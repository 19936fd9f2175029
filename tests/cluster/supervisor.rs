//! Nothing outlives the tests.
//!
//! The processes of the cluster are not children of the test process but of a supervisor: this same executable, started again
//! in a process group of its own (so that Ctrl-C does not reach it) and listening on a pipe. Whatever ends the test process
//! (its last line, a panic, SIGTERM, SIGKILL) closes the pipe; the supervisor then kills what it started, waits for it, removes
//! the folder, and ends.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// The first argument that makes this executable a supervisor. The second is the folder to remove at the end, if any.
pub(crate) const ROLE: &str = "--as-supervisor";

/// What to run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) args: Vec<String>,
    /// Added to the environment of the tests.
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) folder: PathBuf,
    /// Standard output and standard error; appended to.
    pub(crate) log: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
enum Order {
    Start(Box<Program>),
    State(u32),
    Terminate(u32),
    Pause(u32),
    Resume(u32),
    Kill(u32),
}

#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Running(u32),
    Ended(String),
    Failed(String),
}

/// The test process' end of the pipe.
pub(crate) struct Supervisor {
    process: Child,
    link: Mutex<Option<Link>>,
}

struct Link {
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Supervisor {
    /// Starts a supervisor that removes a folder when it ends.
    pub(crate) fn start(to_remove: Option<&Path>) -> Result<Arc<Self>> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg(ROLE)
            .args(to_remove)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .context("starting the supervisor")?;
        let orders = process.stdin.take().context("the supervisor has no standard input")?;
        let answers = BufReader::new(process.stdout.take().context("the supervisor has no standard output")?);
        Ok(Arc::new(Self { process, link: Mutex::new(Some(Link { orders, answers })) }))
    }

    pub(crate) fn run(self: &Arc<Self>, program: Program) -> Result<Process> {
        let (name, log) = (program.name.clone(), program.log.clone());
        match self.ask(&Order::Start(Box::new(program)))? {
            Answer::Running(pid) => Ok(Process { supervisor: Arc::clone(self), pid, name, log }),
            other => bail!("{name} does not start: {other:?}"),
        }
    }

    fn ask(&self, order: &Order) -> Result<Answer> {
        let mut guard = self.link.lock();
        let link = guard.as_mut().context("the supervisor has been dismissed")?;
        let mut text = serde_json::to_string(order)?;
        text.push('\n');
        link.orders.write_all(text.as_bytes()).context("the supervisor is gone")?;
        text.clear();
        link.answers.read_line(&mut text)?;
        serde_json::from_str(&text).with_context(|| format!("the supervisor answered {text:?}"))
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // Closing the pipe is the order to clean up; the tests are over only when that is done.
        self.link.get_mut().take();
        if let Err(error) = self.process.wait() {
            tracing::warn!(%error, "waiting for the supervisor");
        }
    }
}

/// A process run by the supervisor; killed when dropped.
pub(crate) struct Process {
    supervisor: Arc<Supervisor>,
    pub(crate) pid: u32,
    name: String,
    log: PathBuf,
}

impl Process {
    /// How it ended, if it has.
    pub(crate) fn ended(&self) -> Result<Option<String>> {
        match self.supervisor.ask(&Order::State(self.pid))? {
            Answer::Running(_) => Ok(None),
            Answer::Ended(how) => Ok(Some(how)),
            Answer::Failed(why) => Err(anyhow!(why)),
        }
    }

    /// An error with the end of the log if the process has ended.
    pub(crate) fn still_runs(&self) -> Result<()> {
        match self.ended()? {
            None => Ok(()),
            Some(how) => bail!("{} ended ({how}){}", self.name, self.log_tail()),
        }
    }

    /// SIGKILL; returns when the process is gone.
    pub(crate) fn kill(&self) -> Result<()> {
        self.supervisor.ask(&Order::Kill(self.pid)).map(drop)
    }

    /// SIGTERM; returns at once.
    pub(crate) fn terminate(&self) -> Result<()> {
        match self.supervisor.ask(&Order::Terminate(self.pid))? {
            Answer::Failed(why) => bail!("SIGTERM to {}: {why}", self.name),
            _ => Ok(()),
        }
    }

    /// SIGSTOP: it holds its ports and answers nothing.
    pub(crate) fn pause(&self) -> Result<()> {
        self.supervisor.ask(&Order::Pause(self.pid)).map(drop)
    }

    /// SIGCONT.
    pub(crate) fn resume(&self) -> Result<()> {
        self.supervisor.ask(&Order::Resume(self.pid)).map(drop)
    }

    /// The last lines of the log, ready to be appended to an error.
    pub(crate) fn log_tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(20)..).unwrap_or_default();
        format!("\n--- the end of the log of {}:\n{}\n---", self.name, tail.join("\n"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            tracing::debug!(%error, name = self.name, "it is the supervisor's to end now");
        }
    }
}

/// The supervisor's own life.
pub(crate) fn supervise(to_remove: Option<&OsStr>) -> Result<()> {
    let mut wards = BTreeMap::new();
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let answer = obey(&line, &mut wards).unwrap_or_else(|error| Answer::Failed(format!("{error:#}")));
        // Nobody reads any more: the same as a closed pipe.
        if writeln!(io::stdout(), "{}", serde_json::to_string(&answer)?).is_err() {
            break;
        }
    }
    for ward in wards.values_mut() {
        ward.kill();
    }
    to_remove.map_or(Ok(()), |folder| std::fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display())))
}

fn obey(line: &str, wards: &mut BTreeMap<u32, Ward>) -> Result<Answer> {
    match serde_json::from_str(line)? {
        Order::Start(program) => {
            let child = spawn(&program)?;
            let pid = child.id();
            wards.insert(pid, Ward::Running(child));
            Ok(Answer::Running(pid))
        }
        Order::State(pid) => find(wards, pid)?.state(),
        Order::Terminate(pid) => find(wards, pid)?.signal("TERM"),
        Order::Pause(pid) => find(wards, pid)?.signal("STOP"),
        Order::Resume(pid) => find(wards, pid)?.signal("CONT"),
        Order::Kill(pid) => {
            let ward = find(wards, pid)?;
            ward.kill();
            ward.state()
        }
    }
}

fn find(wards: &mut BTreeMap<u32, Ward>, pid: u32) -> Result<&mut Ward> {
    wards.get_mut(&pid).with_context(|| format!("there is no process {pid} here"))
}

fn spawn(program: &Program) -> Result<Child> {
    let log = File::options().create(true).append(true).open(&program.log)?;
    let mut command = Command::new(&program.path);
    command.args(&program.args).envs(&program.env).current_dir(&program.folder);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
    command.spawn().with_context(|| format!("starting {}", program.path.display()))
}

/// A process that the supervisor started. An ended one is remembered, so that its pid is never signalled again.
enum Ward {
    Running(Child),
    Ended(String),
}

impl Ward {
    fn state(&mut self) -> Result<Answer> {
        if let Self::Running(child) = self {
            let Some(status) = child.try_wait()? else { return Ok(Answer::Running(child.id())) };
            *self = Self::Ended(status.to_string());
        }
        match self {
            Self::Running(child) => Ok(Answer::Running(child.id())),
            Self::Ended(how) => Ok(Answer::Ended(how.clone())),
        }
    }

    fn signal(&mut self, name: &str) -> Result<Answer> {
        if let Answer::Running(pid) = self.state()? {
            signal_group(name, pid)?;
        }
        self.state()
    }

    fn kill(&mut self) {
        let Self::Running(child) = self else { return };
        // The group, for those who have children of their own (the Go tool); the process itself even where there is no `kill`.
        let group = signal_group("KILL", child.id());
        let ended = child.kill().and_then(|()| child.wait());
        *self = Self::Ended(match ended {
            Ok(status) => status.to_string(),
            Err(error) => format!("{error}; its group: {group:?}"),
        });
    }
}

/// std can only kill one process, and only with SIGKILL; for the rest there is the utility that POSIX asks for.
fn signal_group(signal: &str, pid: u32) -> Result<()> {
    let arguments = ["-s", signal, "--", &format!("-{pid}")];
    let status = Command::new("kill").args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).status().context("running `kill`")?;
    if status.success() { Ok(()) } else { Err(anyhow!("kill -s {signal}: {status}")) }
}
