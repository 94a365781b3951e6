//! A real browser, driven as WebDriver has it. It knows this machine's addresses and nobody else's, and ends with its test.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Once;

use serde_json::{Value, json};
use tempfile::TempDir;

/// Of all tests beside each other one installs it.
static INSTALLED: Once = Once::new();

pub(super) struct Browser {
    driver: Child,
    session: String,
    client: reqwest::Client,
    _profile: TempDir,
}

impl Browser {
    /// Installs Chromium where it is missing.
    pub(super) async fn open() -> Self {
        INSTALLED.call_once(|| {
            let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stack/packages");
            assert!(Command::new(packages).arg("browser").status().unwrap().success());
        });
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| {
            let line = line.ok()?;
            let (_, port) = line.rsplit_once("started successfully on port ")?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        let (client, profile) = (reqwest::Client::new(), TempDir::new().unwrap());
        let arguments = [
            "--headless=new",
            // Root may not have a sandbox.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            &format!("--user-data-dir={}", profile.path().display()),
        ];
        let options = json!({
            "browserName": "chrome",
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        });
        let mut browser = Self {
            driver,
            session: format!("http://127.0.0.1:{}/session", port.unwrap()),
            client,
            _profile: profile,
        };
        let session = browser.post("", json!({ "capabilities": { "alwaysMatch": options } })).await;
        browser.session += &format!("/{}", session["sessionId"].as_str().unwrap());
        browser
    }

    pub(super) async fn visit(&self, url: &str) {
        self.post("/url", json!({ "url": url })).await;
    }

    /// What the body of a function gives on the page.
    pub(super) async fn run(&self, body: &str) -> Value {
        self.post("/execute/sync", json!({ "script": body, "args": [] })).await
    }

    /// What the promise that the body of a function gives comes to.
    pub(super) async fn wait_for(&self, body: &str) -> Value {
        let script = format!(
            "const done = arguments[0]; (async () => {{ {body} }})().then(done, (error) => done(String(error)));"
        );
        self.post("/execute/async", json!({ "script": script, "args": [] })).await
    }

    /// Runs before every page's own scripts from now on.
    pub(super) async fn run_first(&self, source: &str) {
        self.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": source })).await;
    }

    /// As wide as a small telephone.
    pub(super) async fn narrow(&self) {
        self.sized(360, 740).await;
    }

    pub(super) async fn sized(&self, width: u32, height: u32) {
        let is_small = width < 600;
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_small });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// `light` or `dark`.
    pub(super) async fn colours(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// The whole page as PNG, in base64.
    pub(super) async fn picture(&self) -> String {
        let whole = json!({ "captureBeyondViewport": true });
        let picture = self.devtools("Page.captureScreenshot", whole).await;
        picture["data"].as_str().unwrap().to_owned()
    }

    /// Presses a key, as WebDriver writes it.
    pub(super) async fn press(&self, key: &str) {
        let keys = json!([{ "type": "keyDown", "value": key }, { "type": "keyUp", "value": key }]);
        let source = json!({ "type": "key", "id": "keyboard", "actions": keys });
        self.post("/actions", json!({ "actions": [source] })).await;
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.post("/goog/cdp/execute", json!({ "cmd": command, "params": parameters })).await
    }

    /// What the console was told since the last look, errors of the page's policy among it.
    pub(super) async fn console(&self) -> Vec<String> {
        self.log("browser").await.iter().map(ToString::to_string).collect()
    }

    /// The addresses that were asked since the last look.
    pub(super) async fn asked(&self) -> Vec<String> {
        let entries = self.log("performance").await;
        let asked = |entry: &Value| {
            let entry: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let request = &entry["message"];
            let is_request = request["method"] == "Network.requestWillBeSent";
            is_request.then(|| request["params"]["request"]["url"].as_str().map(str::to_owned))?
        };
        entries.iter().filter_map(asked).collect()
    }

    async fn log(&self, kind: &str) -> Vec<Value> {
        let entries = self.post("/se/log", json!({ "type": kind })).await;
        entries.as_array().unwrap().clone()
    }

    async fn post(&self, command: &str, body: Value) -> Value {
        let answer = self.client.post(format!("{}{command}", self.session)).json(&body);
        let answer: Value = answer.send().await.unwrap().json().await.unwrap();
        assert!(answer["value"]["error"].is_null(), "{command}: {answer}");
        answer["value"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser is of the driver's group. Either may have ended already.
        let group = format!("-{}", self.driver.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.driver.wait();
    }
}
