//! What rows hold: names of the caller's own, casts to text, places inside of `jsonb`.

use serde_json::json;

use crate::stage::Stage;

#[tokio::test]
async fn values_have_the_names_and_forms_that_are_asked_for() {
    let mut stage = Stage::flight().await;
    stage
        .generation(
            "big",
            1,
            "CREATE TABLE big (id int8 PRIMARY KEY); INSERT INTO big VALUES (9007199254740993)",
        )
        .await;
    stage.run(r#"UPDATE "flight@1".flight SET stops = '[{"at": "AMS", "gates": [1, 2]}]' WHERE flight_id = 'F1'"#).await;
    for (select, row) in [
        ("id:flight_id", r#"{"id":"F1"}"#),
        ("fare::text", r#"{"fare":"99.50"}"#),
        ("price:fare::text,fare", r#"{"price":"99.50","fare":99.50}"#),
        ("carrier:flight_id,flight_id:carrier", r#"{"carrier":"F1","flight_id":"KL"}"#),
        ("departs_at::text", r#"{"departs_at":"2026-03-01 10:00:00.25+00"}"#),
        (
            "tags::text,stops:stops::text",
            r#"{"tags":"{a,\"b c\"}","stops":"[{\"at\": \"AMS\", \"gates\": [1, 2]}]"}"#,
        ),
        ("stops->0->>at", r#"{"at":"AMS"}"#),
        ("first:stops->0->at,stops->0->gates->1", r#"{"first":"AMS","gates":2}"#),
        ("gates:stops->0->gates::text", r#"{"gates":"[1, 2]"}"#),
        ("stops->5", r#"{"stops":null}"#),
        (r#""a,b":carrier,"c""d:":gate,"order""#, r#"{"a,b":"KL","c\"d:":"A1","order":1}"#),
        (r#"é\:carrier"#, r#"{"é\\":"KL"}"#),
        (
            "score,seal,code,boarding",
            r#"{"score":1.5,"seal":"\\x00ff","code":"ab ","boarding":true}"#,
        ),
    ] {
        let select = select
            .replace('"', "%22")
            .replace('>', "%3E")
            .replace('\\', "%5C")
            .replace('é', "%C3%A9");
        for uri in [
            format!("/v1/views/flight?limit=1&select={select}"),
            format!("/v1/views/flight/F1?select={select}"),
        ] {
            let answer = stage.get(&uri).await;
            let data = answer
                .text
                .strip_prefix(r#"{"data":"#)
                .unwrap_or_else(|| panic!("{}", answer.text));
            assert!(data.trim_start_matches('[').starts_with(row), "{select}: {}", answer.text);
        }
    }
    // Beyond 2^53 a text is what browsers can read.
    assert_eq!(stage.column("/v1/views/big?select=id::text", "id").await, ["9007199254740993"]);
    assert_eq!(
        stage.get("/v1/views/flight.late?select=late:delay::text").await.json()["data"],
        json!([{ "late": "5" }, { "late": "90" }])
    );
}

#[tokio::test]
async fn what_cannot_be_selected_is_refused() {
    let stage = Stage::flight().await;
    let long = format!("{}:fare", "x".repeat(64));
    for (select, word) in [
        ("id:flight_id,id:carrier", "twice"),
        ("a:flight_id,flight_id:carrier,a:gate", "twice"),
        ("flight_id,flight_id:carrier", "twice"),
        ("stops->0->>at,at:carrier", "twice"),
        ("fare::int", "::text"),
        ("fare::", "::text"),
        ("fare::text::text", "::text"),
        ("fare::text.x", "::text"),
        ("fare:", "column name"),
        (":fare", "column name"),
        ("a:b:fare", "no column"),
        ("fare.x", "more than a name"),
        ("fare,", "column name"),
        ("carrier->x", "only a `jsonb` column"),
        ("stops->>at->x", "ends a path"),
        ("count(fare)", "no column"),
        ("x:*", "column names"),
        (r#""":fare"#, "1 to 63 bytes"),
        (r#"stops->"""#, "1 to 63 bytes"),
        (&long, "1 to 63 bytes"),
    ] {
        let uri =
            format!("/v1/views/flight?select={}", select.replace('"', "%22").replace('>', "%3E"));
        let problem = stage.problem(&uri, 400, "bad-value").await;
        assert_eq!(problem["errors"][0]["parameter"], "select");
        assert!(problem["detail"].as_str().unwrap().contains(word), "{select}: {problem}");
    }
}
