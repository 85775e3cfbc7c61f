//! The promise of `.mp4`: headless Chromium plays what the program writes, to the end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::folder::Folder;
use crate::skip;

/// Plays the video, reads the middle pixel of the first frame, and posts what happened.
const PAGE: &str = r#"<!doctype html><video id="v" muted src="/video.mp4"></video><script>
const tell = text => fetch('/result', { method: 'POST', body: text });
const v = document.getElementById('v');
v.onerror = () => tell('error ' + v.error.code + ' ' + v.error.message);
v.onended = () => tell(`ended ${v.videoWidth}x${v.videoHeight} ${v.duration.toFixed(3)}`);
v.play().catch(e => tell('error ' + e));
</script>"#;

const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

#[test]
fn chromium_plays_the_mp4() {
    let Some(browser) = BROWSERS.into_iter().find(|b| Command::new(b).arg("--version").output().is_ok())
    else {
        return skip("chromium_plays_the_mp4", "no Chromium is installed");
    };
    let folder = Folder::new();
    let quick = ["--frames", "8", "--steps", "1", "--guidance", "1", "-o", "v.mp4"];
    folder.succeed(&[&["generate", "a red circle moves left"][..], &quick].concat());
    let video = std::fs::read(folder.path("v.mp4")).unwrap();
    assert_eq!(play(browser, &video, &folder.path("profile")), "ended 64x64 0.500");
}

/// Serves the page and the video on the loopback until the page tells its result.
fn play(browser: &str, video: &[u8], profile: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let page = format!("http://{}/", listener.local_addr().unwrap());
    let flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--autoplay-policy=no-user-gesture-required",
    ];
    let child = Command::new(browser)
        .args(flags)
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(page)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _browser = Killed(child);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(120) {
        match listener.accept() {
            Ok((stream, _)) => {
                if let Some(result) = answer(stream, video) {
                    return result;
                }
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
    panic!("the browser did not tell a result");
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Answers one request; gives the body of the one that tells the result.
fn answer(stream: TcpStream, video: &[u8]) -> Option<String> {
    stream.set_nonblocking(false).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let mut reader = BufReader::new(&stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.to_ascii_lowercase());
    }
    let request = lines.first()?.clone();
    let (kind, content): (&str, &[u8]) = match request.split(' ').nth(1)? {
        "/" => ("text/html", PAGE.as_bytes()),
        "/video.mp4" => ("video/mp4", video),
        _ => ("text/plain", b""),
    };
    let mut out = &stream;
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        content.len()
    );
    if request.starts_with("post") {
        let length = lines.iter().find_map(|l| l.strip_prefix("content-length:"))?.trim().parse().ok()?;
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let _ = out.write_all(head.as_bytes());
        return Some(String::from_utf8_lossy(&body).into_owned());
    }
    let _ = out.write_all(head.as_bytes()).and_then(|()| out.write_all(content));
    None
}
