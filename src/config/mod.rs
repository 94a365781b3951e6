//! Configuration: environment over file over defaults. Every value remembers where it came from, so a wrong one is named
//! with its line or its variable; all that is wrong is said at once.

mod auth;
mod files;
mod keys;
mod model;
mod operations;
mod source;
mod value;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use vitrina_api::{AuthSettings, Origin, Rate, Thresholds};
use vitrina_avro::RegistrySettings;
use vitrina_ingest::{KafkaSettings, PropertyError, owned_property};
use vitrina_projectors::ModelSettings;

pub(crate) use source::Place;
use source::Source;

use crate::webhook::WebhookSettings;

/// Everything that a verb may need to know.
#[derive(Clone)]
pub(crate) struct Config {
    /// The file that was read; none where only defaults and the environment hold.
    pub(crate) file: Option<PathBuf>,
    pub(crate) kafka: KafkaSettings,
    pub(crate) group_prefix: String,
    pub(crate) registry: RegistrySettings,
    pub(crate) postgres_url: String,
    pub(crate) contracts: PathBuf,
    pub(crate) models: PathBuf,
    pub(crate) listen: SocketAddr,
    pub(crate) admin_listen: SocketAddr,
    pub(crate) admin_token: Option<String>,
    pub(crate) auth: Option<AuthSettings>,
    /// The listeners' certificate and its key; none where they speak plain HTTP.
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
    /// Whose pages may read views.
    pub(crate) cors_origins: Vec<Origin>,
    /// How often one caller may ask; none: as often as it likes.
    pub(crate) rate: Option<Rate>,
    pub(crate) health: Thresholds,
    pub(crate) webhook: Option<WebhookSettings>,
    defaults: ModelSettings,
    /// What stands under `[models]`; none where the model is not enabled.
    by_model: BTreeMap<String, Option<ModelSettings>>,
    places: BTreeMap<String, Place>,
}

impl Config {
    /// Loads `file`, else `VITRINA_CONFIG`, else `./vitrina.toml`, else defaults; then the environment.
    ///
    /// # Errors
    /// Every wrong setting, one line each.
    pub(crate) fn load(file: Option<&Path>) -> Result<Self, Vec<String>> {
        let mut source = Source::read(file)?;
        let config = Self::from_source(&mut source);
        if source.findings.is_empty() {
            refuse_unknown_properties(&config.kafka, &mut source);
        }
        if source.findings.is_empty() { Ok(config) } else { Err(source.findings) }
    }

    /// Whether nobody says anything: no file is here or named, and no variable.
    pub(crate) fn is_unsaid() -> bool {
        Source::is_unsaid()
    }

    /// What holds where nobody says anything; relative paths start at `folder`.
    pub(crate) fn defaults(folder: PathBuf) -> Self {
        Self::from_source(&mut Source::parse("", "", folder, std::iter::empty()))
    }

    fn from_source(source: &mut Source) -> Self {
        let folder = source.folder.clone();
        let listen =
            source.get("http.listen", value::address).unwrap_or(([127, 0, 0, 1], 8080).into());
        let defaults = model::read(source, "model", &ModelSettings::default());
        let names = source.model_names();
        let or = |found: Option<String>, default: &str| found.unwrap_or_else(|| default.to_owned());
        Self {
            file: source.file.clone(),
            kafka: KafkaSettings {
                brokers: or(source.text("kafka.brokers"), "localhost:9092"),
                properties: kafka_properties(source),
            },
            group_prefix: or(source.text("kafka.group_prefix"), "vitrina"),
            registry: RegistrySettings {
                url: or(source.url("registry.url", &["http", "https"]), "http://localhost:8081"),
                username: source.get("registry.username", value::text),
                password: source.get("registry.password", value::text),
                token: source.get("registry.token", value::text),
                roots: files::roots(source, "registry.tls_ca"),
            },
            postgres_url: or(files::postgres_url(source), "postgres://localhost/vitrina"),
            contracts: folder.join(or(source.text("definitions.contracts"), "avro/contracts")),
            models: folder.join(or(source.text("definitions.models"), "projectors/models")),
            listen,
            admin_listen: source
                .get("http.admin_listen", value::address)
                .unwrap_or(([127, 0, 0, 1], 8082).into()),
            admin_token: operations::admin_token(source),
            auth: auth::auth(source),
            tls: files::tls(source),
            cors_origins: operations::cors_origins(source),
            rate: operations::rate(source),
            health: operations::health(source),
            webhook: operations::webhook(source),
            by_model: names.into_iter().map(|name| by_name(source, name, &defaults)).collect(),
            defaults,
            places: source.places(),
        }
    }

    /// The settings of a model; `None` where it is not enabled.
    pub(crate) fn model(&self, name: &str) -> Option<ModelSettings> {
        self.by_model.get(name).cloned().unwrap_or_else(|| Some(self.defaults.clone()))
    }

    /// Names under `[models]`, to be compared with the models that there are.
    pub(crate) fn named_models(&self) -> impl Iterator<Item = &str> {
        self.by_model.keys().map(String::as_str)
    }

    /// The same, each with where it stands first.
    pub(crate) fn named_models_with_places(&self) -> impl Iterator<Item = (&str, &Place)> {
        self.named_models().filter_map(|name| {
            let prefix = format!("models.{name}");
            let below = |key: &str| {
                key.strip_prefix(&prefix)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            Some((name, self.places.iter().find(|(key, _)| below(key))?.1))
        })
    }

    /// Where a setting stands; none where its default holds.
    pub(crate) fn place(&self, key: &str) -> Option<&Place> {
        self.places.get(key)
    }

    /// The registry and the setting that names it, without the name and password that its URL may hold.
    pub(crate) fn registry_place(&self) -> String {
        let url = &self.registry.url;
        let shown = match (url.split_once("://"), url.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
            _ => url.clone(),
        };
        format!("the registry at {shown} (registry.url)")
    }
}

fn by_name(
    source: &mut Source,
    name: String,
    defaults: &ModelSettings,
) -> (String, Option<ModelSettings>) {
    let section = format!("models.{name}");
    let settings = model::read(source, &section, defaults);
    let enabled = source.get(&format!("{section}.enabled"), value::boolean).unwrap_or(true);
    (name, enabled.then_some(settings))
}

fn kafka_properties(source: &mut Source) -> BTreeMap<String, String> {
    let properties = source.section("kafka.properties");
    for name in properties.keys() {
        if let Some(why) = owned_property(name) {
            source.refuse(
                &format!("kafka.properties.{name}"),
                &format!("cannot be set: {why}; take the line out"),
            );
        }
    }
    files::of_kafka(source, properties)
}

/// What only librdkafka knows: which properties there are, and what they may be.
fn refuse_unknown_properties(kafka: &KafkaSettings, source: &mut Source) {
    match kafka.check() {
        Ok(()) => {}
        Err(PropertyError { property: Some(name), what }) => {
            source.refuse(&format!("kafka.properties.{name}"), &what)
        }
        Err(PropertyError { property: None, what }) => {
            source.findings.push(format!("kafka.properties: {what}"))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use vitrina_projectors::{Policy, Strategy};

    use super::*;

    fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let environment =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut source = Source::parse("vitrina.toml", text, PathBuf::from("/etc/v"), environment);
        let config = Config::from_source(&mut source);
        if source.findings.is_empty() { Ok(config) } else { Err(source.findings) }
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let config = load("", &[]).unwrap();
        assert_eq!(config.kafka.brokers, "localhost:9092");
        assert_eq!(config.contracts, Path::new("/etc/v/avro/contracts"));
        assert_eq!(config.model("any").unwrap(), ModelSettings::default());
    }

    #[test]
    fn the_example_shows_the_defaults() {
        let example = load(include_str!("../../vitrina.toml"), &[]).unwrap();
        assert_eq!(example.model("any").unwrap(), ModelSettings::default());
        assert_eq!(example.model("order_summary").unwrap(), ModelSettings::default());
        assert_eq!(example.health, Thresholds::default());
        assert!(
            example.webhook.is_none() && example.admin_token.is_none() && example.tls.is_none()
        );
        assert!(example.cors_origins.is_empty() && example.rate.is_none());
    }

    #[test]
    fn trouble_is_borne_as_set_for_the_model_the_class_and_the_variable() {
        let file = "[model]\ntimeout = \"9s\"\nretry.timeout.factor = 3\n[model.breaker]\nshare = 0.9\n\
                    [models.a.retry.timeout]\nstrategy = \"fixed\"\n[models.a.parked]\nmax = 5\n";
        let variables = [
            ("VITRINA_MODELS__a__b__RETRY__RESOURCE__FIRST", "7s"),
            ("VITRINA_MODEL__BREAKER__OF_LAST", "4"),
        ];
        let config = load(file, &variables).unwrap();
        let (a, b) = (config.model("a").unwrap(), config.model("a__b").unwrap());
        let timeout = ModelSettings::default().retry.timeout;
        assert_eq!(a.retry.timeout, Policy { strategy: Strategy::Fixed, factor: 3.0, ..timeout });
        assert_eq!((a.timeout, a.parked.max, b.parked.max), (Duration::from_secs(9), 5, 250_000));
        assert_eq!((b.retry.timeout.factor, b.retry.resource.first), (3.0, Duration::from_secs(7)));
        assert_eq!((b.breaker.share, b.breaker.of_last), (0.9, 4));
    }

    #[test]
    fn secrets_of_operators_are_read_and_never_told() {
        let file = "[http]\nadmin_token = \"s3cret words\"\n[webhook]\nurl = \"ftp://s3cret\"\n\
                    [webhook.headers]\n\"a b\" = \"s3cret\"\n[health]\nmax_parked = -1\n";
        let found = load(file, &[]).err().unwrap().join("\n");
        assert!(found.contains("vitrina.toml:2: http.admin_token holds blanks"), "{found}");
        assert!(found.contains("vitrina.toml:4: webhook.url begins with `ftp://`"), "{found}");
        assert!(found.contains("vitrina.toml:6: webhook.headers.a b is no header"), "{found}");
        assert!(found.contains("vitrina.toml:8: health.max_parked is `-1`"), "{found}");
        assert!(!found.contains("s3cret"), "{found}");
        let variables = [
            ("VITRINA_WEBHOOK__HEADERS__AUTHORIZATION", "Bearer t"),
            ("VITRINA_HTTP__ADMIN_TOKEN", "t"),
        ];
        let config =
            load("[webhook]\nurl = \"https://a\"\n[health]\nmax_lag = \"9s\"\n", &variables)
                .unwrap();
        assert_eq!(config.webhook.unwrap().headers["authorization"], "Bearer t");
        assert_eq!(
            (config.admin_token.unwrap(), config.health.lag),
            ("t".to_owned(), Duration::from_secs(9))
        );
    }

    #[test]
    fn strangers_are_told_by_origin_and_bounded_by_rate() {
        let file = "[http]\ncors_origins = [\n  \"https://shop.example.org\",\n  \"http://localhost:5173\",\n]\n\
                    rate = \"600/m\"\nburst = 20\n";
        let config = load(file, &[]).unwrap();
        let origins = |texts: &[&str]| -> Vec<Origin> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        assert_eq!(
            config.cors_origins,
            origins(&["https://shop.example.org", "http://localhost:5173"])
        );
        let rate = config.rate.unwrap();
        assert_eq!((rate.count.get(), rate.per.as_secs(), rate.burst.get()), (600, 60, 20));
        assert_eq!(load("[http]\nrate = \"7/s\"\n", &[]).unwrap().rate.unwrap().burst.get(), 7);
        // The environment beats the file, whole.
        let variable = [("VITRINA_HTTP__CORS_ORIGINS", "https://a.example, https://b.example")];
        let config = load(file, &variable).unwrap();
        assert_eq!(config.cors_origins, origins(&["https://a.example", "https://b.example"]));
        assert_eq!(
            load("[http]\ncors_origins = \"*\"\n", &[]).unwrap().cors_origins,
            [Origin::Any]
        );
        assert!(load("[http]\ncors_origins = []\n", &[]).unwrap().cors_origins.is_empty());
    }

    #[test]
    fn what_no_browser_sends_and_what_bounds_nothing_is_refused_with_its_line() {
        let file = "[http]\ncors_origins = [\"https://shop.example.org/\", \"*\", \"https://a.example\"]\n\
                    rate = \"0/s\"\nburst = 0\n";
        let found = load(file, &[]).err().unwrap();
        let all = found.join("\n");
        for expected in [
            "vitrina.toml:2: http.cors_origins holds `https://shop.example.org/`, which no browser sends",
            "vitrina.toml:2: http.cors_origins holds `*`, which stands for all",
            "vitrina.toml:3: http.rate is `0/s`; a number of requests",
            "vitrina.toml:4: http.burst is `0`; a whole number from 1 on",
        ] {
            assert!(all.contains(expected), "{expected} is not in\n{all}");
        }
        assert_eq!(found.len(), 4, "{all}");
        for wrong in ["5", "5/", "5/d", "/s", "-1/s", "1.5/s"] {
            assert!(load(&format!("[http]\nrate = \"{wrong}\"\n"), &[]).is_err(), "{wrong}");
        }
        let found = load("[http]\nburst = 5\n", &[]).err().unwrap().join("\n");
        assert!(found.contains("vitrina.toml:2: http.burst bounds nothing"), "{found}");
    }

    #[test]
    fn what_would_retry_without_end_or_write_nothing_is_refused() {
        let file = "[model]\nconcurrency = 0\ntimeout = \"0s\"\n[model.retry.transient]\nfirst = \"0ms\"\n\
                    strategy = \"often\"\nfactor = nan\n[model.retries]\n[model.retry.transent]\nfirst = \"1s\"\n\
                    [models.a.breaker]\nshare = 1.5\nretry = 3\n";
        let found = load(file, &[("VITRINA_MODEL__RETRY__FIRST", "1s")]).err().unwrap().join("\n");
        for expected in [
            "vitrina.toml:2: model.concurrency is `0`; a whole number from 1 on is wanted",
            "vitrina.toml:3: model.timeout is `0s`; a duration above 0",
            "vitrina.toml:5: model.retry.transient.first is `0ms`; a duration above 0",
            "vitrina.toml:6: model.retry.transient.strategy is `often`; none, fixed, linear or exponential is wanted",
            "vitrina.toml:7: model.retry.transient.factor is `nan`; a number from 1 to 100 is wanted",
            "vitrina.toml:8: unknown key `retries` in [model]: did you mean `retry`?",
            "vitrina.toml:9: unknown key `transent` in [model.retry]: did you mean `transient`?",
            "vitrina.toml:12: models.a.breaker.share is `1.5`; a share above 0 and up to 1",
            "vitrina.toml:13: unknown key `retry` in [models.a.breaker]; the keys are half_open_after, \
             in_a_row, of_last, same_reason, share",
            "VITRINA_MODEL__RETRY__FIRST: unknown key `first` in [model.retry]; the keys are rate_limit, resource, timeout, \
             transient",
        ] {
            assert!(found.contains(expected), "{expected}\n\n{found}");
        }
    }

    #[test]
    fn environment_beats_file_and_database_url_stands_between() {
        let file = "[postgres]\nurl = \"postgres://file/a\"\n[kafka]\nbrokers = \"file:1\"\n";
        let url = |environment: &[(&str, &str)]| load(file, environment).unwrap().postgres_url;
        assert_eq!(url(&[]), "postgres://file/a");
        assert_eq!(url(&[("DATABASE_URL", "postgres://env/b")]), "postgres://env/b");
        assert_eq!(
            url(&[("DATABASE_URL", "x"), ("VITRINA_POSTGRES__URL", "postgres://v/c")]),
            "postgres://v/c"
        );
        let config = load(
            file,
            &[("VITRINA_KAFKA__BROKERS", "env:2"), ("VITRINA_MODELS__a_b__ENABLED", "false")],
        )
        .unwrap();
        assert_eq!(config.kafka.brokers, "env:2");
        assert!(config.model("a_b").is_none());
    }

    #[test]
    fn one_model_overrides_the_defaults() {
        let config =
            load("[model]\nmax_events = 10\nlinger = \"1s 500ms\"\n[models.a]\nmax_events = 2\nmax_bytes = \"64KiB\"\n", &[])
                .unwrap();
        let model = config.model("a").unwrap();
        assert_eq!(
            (model.max_events, model.max_bytes, model.linger),
            (2, 65_536, Duration::from_millis(1500))
        );
        assert_eq!(config.model("b").unwrap().max_events, 10);
    }

    #[test]
    fn every_wrong_setting_is_named_with_its_place() {
        let found = load(
            "[kafka]\nbrokrs = \"x\"\n\n[modle]\n[model]\nmax_events = \"lots\"\nlinger = 5\n[kafka.properties]\n\"group.id\" = \"g\"\n",
            &[("VITRINA_REGISTRY__URI", "x"), ("VITRINA_HTTP__LISTEN", "here")],
        )
        .err().unwrap();
        let all = found.join("\n");
        assert!(
            all.contains(
                "vitrina.toml:2: unknown key `brokrs` in [kafka]: did you mean `brokers`?"
            ),
            "{all}"
        );
        assert!(
            all.contains("vitrina.toml:4: unknown section [modle]: did you mean [model]?"),
            "{all}"
        );
        assert!(all.contains("vitrina.toml:6: model.max_events is `lots`"), "{all}");
        assert!(all.contains("vitrina.toml:7: model.linger is `5`"), "{all}");
        assert!(all.contains("vitrina.toml:9: kafka.properties.group.id cannot be set"), "{all}");
        assert!(
            all.contains(
                "VITRINA_REGISTRY__URI: unknown key `uri` in [registry]: did you mean `url`?"
            ),
            "{all}"
        );
        assert!(all.contains("VITRINA_HTTP__LISTEN: http.listen is `here`"), "{all}");
        assert_eq!(found.len(), 7, "{all}");
    }

    #[test]
    fn addresses_that_cannot_be_any_are_refused_without_their_passwords() {
        let found = load(
            "[kafka]\nbrokers = 9092\ngroup_prefix = \"\"\n[registry]\nurl = [\"http://a\"]\n[postgres]\nurl = \"postgre://ann:secret@db/a\"\n",
            &[],
        )
        .err()
        .unwrap();
        let all = found.join("\n");
        assert!(all.contains("vitrina.toml:2: kafka.brokers is `9092`, not a text"), "{all}");
        assert!(all.contains("vitrina.toml:3: kafka.group_prefix is empty"), "{all}");
        assert!(all.contains("vitrina.toml:5: registry.url is a list"), "{all}");
        assert!(all.contains("vitrina.toml:7: postgres.url begins with `postgre://`"), "{all}");
        assert!(!all.contains("secret") && found.len() == 4, "{all}");
    }

    #[test]
    fn a_property_that_librdkafka_does_not_know_is_named_once() {
        let text = "[kafka.properties]\n\"security.protcol\" = \"ssl\"\n";
        let mut source = Source::parse("vitrina.toml", text, PathBuf::new(), std::iter::empty());
        let config = Config::from_source(&mut source);
        refuse_unknown_properties(&config.kafka, &mut source);
        let expected =
            "vitrina.toml:2: kafka.properties.security.protcol is no property of librdkafka";
        assert!(
            source.findings.len() == 1 && source.findings[0].starts_with(expected),
            "{:?}",
            source.findings
        );
    }

    #[test]
    fn files_are_found_from_the_folder_and_missing_ones_are_named() {
        let file = "[kafka.properties]\n\"ssl.ca.location\" = \"ca.pem\"\n\"ssl.crl.location\" = \"probe\"\n\
                    [postgres]\nurl = \"postgres://ann:s3cret@db/a?sslmode=verify-full&sslrootcert=root.pem\"\n\
                    [http]\ntls_cert = \"tls.crt\"\n[registry]\ntls_ca = \"own.pem\"\n";
        let found = load(file, &[("VITRINA_HTTP__TLS_KEY", "-----BEGIN PRIVATE KEY-----\ns3cret")]);
        let all = found.err().unwrap().join("\n");
        for expected in [
            "vitrina.toml:2: kafka.properties.ssl.ca.location names /etc/v/ca.pem, which cannot be read",
            "vitrina.toml:5: postgres.url names /etc/v/root.pem (sslrootcert), which cannot be read",
            "vitrina.toml:7: http.tls_cert has no key: set http.tls_key, too",
            "VITRINA_HTTP__TLS_KEY: http.tls_key holds a certificate or a key; write the name of the file",
            "vitrina.toml:9: registry.tls_ca names /etc/v/own.pem, which cannot be read",
        ] {
            assert!(all.contains(expected), "{expected}\n\n{all}");
        }
        assert!(!all.contains("s3cret") && !all.contains("probe"), "{all}");
        let both = "[http]\ntls_cert = \"tls.crt\"\ntls_key = \"/run/tls.key\"\n";
        let (cert, key) = load(both, &[]).unwrap().tls.unwrap();
        assert_eq!((&*cert, &*key), (Path::new("/etc/v/tls.crt"), Path::new("/run/tls.key")));
    }

    #[test]
    fn a_variable_names_a_property_without_its_dots() {
        let variable = ("VITRINA_KAFKA__PROPERTIES__SASL_PASSWORD", "a_b.c");
        let config = load("", &[variable]).unwrap();
        assert_eq!(config.kafka.properties["sasl.password"], "a_b.c");
        for (section, end, key, is_file) in [
            ("kafka.properties", "SASL_PASSWORD_FILE", "sasl.password", true),
            ("webhook.headers", "AUTHORIZATION_FILE", "authorization", true),
            ("http", "ADMIN_TOKEN_FILE", "admin_token", true),
            ("auth", "PUBLIC_KEY_FILE", "public_key_file", false),
        ] {
            assert_eq!(keys::key_of_variable(section, end), (key.to_owned(), is_file), "{end}");
        }
    }

    #[test]
    fn a_model_that_is_named_has_a_place() {
        let config = load(
            "[models.a]\n[models.b]\nenabled = false\n",
            &[("VITRINA_MODELS__c__LINGER", "1s")],
        )
        .unwrap();
        let places: Vec<String> = config
            .named_models_with_places()
            .map(|(name, place)| format!("{name} {place}"))
            .collect();
        assert_eq!(places, ["a vitrina.toml:1", "b vitrina.toml:2", "c VITRINA_MODELS__c__LINGER"]);
    }
}
