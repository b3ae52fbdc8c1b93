//! The windows, each a process of its own: the editor's, and pinentry where that is not installed.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::model::{Details, Outcome, Secret};
use crate::text;

const EDITOR: &str = "sip-profiles-editor";
const PINENTRY: &str = "pinentry";
/// The editor's exit code for "the person said no". Any other one, and a signal, is the window's failure: that is no
/// answer, and the service must not take it for one.
const SAID_NO: i32 = 1;
/// pinentry's, in the lower bits of its errors, as the source in the upper ones does not matter: "cancelled", and
/// "fully cancelled".
const PINENTRY_SAID_NO: [u32; 2] = [99, 114];
/// More than a password (1 KiB) can need, escaped. A buffer of that size never moves, and so leaves no copy behind.
const ANSWER: usize = 16 * 1024;

/// Opens the editor, for a new profile or the one at `profile`, and waits for its end. `false`: there is none.
pub async fn edit(session: bool, profile: Option<String>, token: Option<String>) -> bool {
    let Some(program) = find(EDITOR) else { return false };
    let mut command = Command::new(program);
    if session {
        command.arg("--session");
    }
    match profile {
        Some(path) => command.arg("edit").arg(path),
        None => command.arg("add"),
    };
    pass_on(&mut command, token);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let Ok(mut child) = command.spawn() else { return false };
    let _ = child.wait().await;
    true
}

/// Asks for a password. `close` closes the window.
pub async fn ask(mut details: Details, token: Option<String>, mut close: oneshot::Receiver<()>) -> Outcome {
    // A token says it better: also when that was.
    details.clicked &= token.is_none();
    let editor = find(EDITOR);
    let Some(program) = editor.clone().or_else(|| find(PINENTRY)) else {
        return Outcome::Unavailable(text::no_password_window());
    };
    let mut command = Command::new(program);
    if editor.is_some() {
        command.arg("password");
    }
    pass_on(&mut command, token);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let failed = |error: io::Error| Outcome::Unavailable(text::window_failed(&error.to_string()));
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return failed(error),
    };
    let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
        return Outcome::Cancelled;
    };
    let answer = async {
        if editor.is_some() {
            ask_editor(&details, to, from, &mut child).await
        } else {
            ask_pinentry(&details, to, from).await
        }
    };
    let outcome = tokio::select! {
        outcome = answer => outcome.unwrap_or_else(failed),
        _ = &mut close => Outcome::Cancelled,
    };
    end(child);
    outcome
}

/// Ends a window, if it is still open, and waits for it.
fn end(mut child: Child) {
    if let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::TERM);
    }
    tokio::spawn(async move {
        let _ = child.wait().await;
    });
}

/// Lets the window come to the front, as the click that it follows may.
fn pass_on(command: &mut Command, token: Option<String>) {
    match token {
        Some(token) => command.env("XDG_ACTIVATION_TOKEN", token),
        None => command.env_remove("XDG_ACTIVATION_TOKEN"),
    };
}

async fn ask_editor(
    details: &Details,
    mut to: ChildStdin,
    from: ChildStdout,
    child: &mut Child,
) -> io::Result<Outcome> {
    let mut question = String::new();
    for (key, value) in [
        ("aor", details.aor.as_str()),
        ("display-name", &details.display_name),
        ("realm", &details.realm),
        ("server", &details.server),
        ("transport", &details.transport),
        ("refused", if details.refused { "true" } else { "false" }),
    ] {
        question.push_str(&format!("{key}={}\n", value.replace(char::is_control, " ")));
    }
    if details.kept {
        question.push_str("kept=true\n");
    }
    if details.clicked {
        question.push_str("clicked=true\n");
    }
    question.push('\n');
    // A window that does not read its question to the end may still answer.
    let _ = to.write_all(question.as_bytes()).await;
    drop(to);
    let mut answer = Zeroizing::new(Vec::with_capacity(ANSWER));
    from.take(ANSWER as u64).read_to_end(&mut answer).await?;
    let status = child.wait().await?;
    let given = editor_answer(&answer).filter(|_| status.success());
    Ok(match given {
        Some(given) => given,
        None if status.code() == Some(SAID_NO) => Outcome::Cancelled,
        None => Outcome::Unavailable(text::window_failed(&status.to_string())),
    })
}

/// `store=true` or `store=false`, and `password=` with the password.
fn editor_answer(answer: &[u8]) -> Option<Outcome> {
    let text = std::str::from_utf8(answer).ok()?;
    let (mut store, mut password) = (false, None);
    for line in text.lines() {
        match line.split_once('=')? {
            ("store", value) => store = value == "true",
            ("password", value) => password = Some(Secret(Zeroizing::new(value.to_owned()))),
            _ => {}
        }
    }
    Some(Outcome::Password(password?, store))
}

/// The Assuan protocol: a line each way, `OK` or `ERR` at the end of each answer.
async fn ask_pinentry(details: &Details, mut to: ChildStdin, from: ChildStdout) -> io::Result<Outcome> {
    let mut from = BufReader::new(from);
    if let Err(code) = assuan(&mut from).await? {
        return Ok(Outcome::Unavailable(text::pinentry_failed(code)));
    }
    let name = if details.display_name.is_empty() { &details.aor } else { &details.display_name };
    let mut lines = vec![
        format!("SETTITLE {}", escape(&text::pinentry_title())),
        format!("SETDESC {}", escape(&text::pinentry_description(name, &details.aor, &details.server))),
        format!("SETPROMPT {}", escape(&text::pinentry_prompt())),
    ];
    if details.refused {
        lines.push(format!("SETERROR {}", escape(&text::pinentry_refused())));
    }
    for line in lines {
        to.write_all(format!("{line}\n").as_bytes()).await?;
        // A pinentry that does not know one of them can still ask.
        let _ = assuan(&mut from).await?;
    }
    to.write_all(b"GETPIN\n").await?;
    let outcome = match assuan(&mut from).await? {
        Ok(password) => Outcome::Password(Secret(password), false),
        Err(code) if PINENTRY_SAID_NO.contains(&(code & 0xffff)) => Outcome::Cancelled,
        Err(code) => Outcome::Unavailable(text::pinentry_failed(code)),
    };
    let _ = to.write_all(b"BYE\n").await;
    Ok(outcome)
}

/// One answer: its data, or the number of its error.
async fn assuan(from: &mut BufReader<ChildStdout>) -> io::Result<Result<Zeroizing<String>, u32>> {
    let mut data = Zeroizing::new(String::new());
    loop {
        let mut line = Zeroizing::new(Vec::with_capacity(ANSWER));
        if (&mut *from).take(ANSWER as u64).read_until(b'\n', &mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_ascii_end();
        if line == b"OK" || line.starts_with(b"OK ") {
            return Ok(Ok(data));
        } else if let Some(error) = line.strip_prefix(b"ERR ") {
            let number = error.split(|&byte| byte == b' ').next().unwrap_or_default();
            let number = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok());
            return Ok(Err(number.unwrap_or(0)));
        } else if let Some(escaped) = line.strip_prefix(b"D ") {
            data = unescape(escaped).unwrap_or_default();
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn unescape(escaped: &[u8]) -> Option<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(escaped.len()));
    let mut rest = escaped;
    while let Some((&first, others)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = others;
            continue;
        }
        let digits = std::str::from_utf8(others.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &others[2..];
    }
    Some(Zeroizing::new(std::str::from_utf8(&bytes).ok()?.to_owned()))
}

/// Beside our own program, as in a build folder, else on PATH.
fn find(name: &str) -> Option<PathBuf> {
    let own = std::env::current_exe().ok();
    let beside = own.as_deref().and_then(Path::parent).map(|folder| folder.join(name));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let others = std::env::split_paths(AsRef::<OsStr>::as_ref(&path))
        .map(|folder| folder.join(name))
        .collect::<Vec<_>>();
    beside.into_iter().chain(others).find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok() && file.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Secret {
        Secret(Zeroizing::new(text.into()))
    }

    #[test]
    fn an_answer_of_the_window_is_two_lines() {
        let all = |text: &str| editor_answer(text.as_bytes());
        assert_eq!(all("store=true\npassword=a=b c\n"), Some(Outcome::Password(password("a=b c"), true)));
        assert_eq!(all("store=false\npassword=\n"), Some(Outcome::Password(password(""), false)));
        assert_eq!(all("store=false\n"), None);
        assert_eq!(all(""), None);
    }

    #[test]
    fn pinentry_is_spoken_to_in_percents() {
        assert_eq!(escape("100%\nsure"), "100%25%0Asure");
        assert_eq!(unescape(b"a%25b%0Ac").map(|text| text.to_string()), Some("a%b\nc".into()));
        assert_eq!(unescape(b"%2"), None);
        assert_eq!(unescape(b"%zz"), None);
    }

    #[test]
    fn a_password_is_not_in_the_debug_text() {
        let outcome = Outcome::Password(password("tiger"), true);
        assert!(!format!("{outcome:?}").contains("tiger"));
    }
}
