//! Who may read what: what grants and policies are read as, what is refused, and what is warned of.

use crate::shop::{model, refused, warnings};
use vitrina_sql::{Piece, Role};

const TABLES: &str = r#"
CREATE TABLE account (id text PRIMARY KEY, owner text NOT NULL, level int NOT NULL, code text, "Odd" uuid);
CREATE TABLE _helper (id text PRIMARY KEY, secret text);
CREATE TABLE open (id text PRIMARY KEY);
CREATE VIEW shown AS SELECT id FROM account;
CREATE VIEW above (one, two) AS SELECT s.id, h.secret FROM shown s, _helper h;
CREATE VIEW harmless AS SELECT o.id, h.secret FROM open o, _helper h;
INSERT INTO open SELECT e.order_id FROM orders.order_placed e;
"#;

fn text(rights: &str) -> String {
    format!("{TABLES}{rights}")
}

/// The condition of a policy on `account`, claims as `$name` and `$name[]`.
fn condition(using: &str) -> String {
    let rights = format!(
        "GRANT SELECT ON account TO a; CREATE POLICY p ON account FOR SELECT TO a USING ({using})"
    );
    let model = model(&text(&rights));
    let pieces = &model.policies[0].using.pieces;
    let shown = pieces.iter().map(|piece| match piece {
        Piece::Sql(sql) => sql.clone(),
        Piece::Claim(name) => format!("${name}"),
        Piece::Claims(name) => format!("${name}[]"),
    });
    shown.collect()
}

fn named(role: &str) -> Role {
    Role::Named(role.to_owned())
}

#[test]
fn rights_are_read_as_postgres_reads_names() {
    let model = model(&text(
        r#"GRANT SELECT ON TABLE account, open TO "Staff", auditor, GROUP clerk;
           grant select (ID, "Odd"), select (code) on account to Public;
           GRANT SELECT (one) ON above TO auditor;
           CREATE POLICY own ON account AS PERMISSIVE FOR SELECT TO "public" USING (owner = claim('sub') -- theirs
           );
           CREATE POLICY every ON account FOR SELECT TO "Staff", auditor, clerk USING ((true));"#,
    ));
    let rights = model.rights();
    let account = &rights.0["account"];
    assert_eq!(account.grants[0].roles, [named("Staff"), named("auditor"), named("clerk")]);
    assert_eq!(account.grants[0].columns, None);
    assert_eq!(account.grants[1].roles, [Role::Public]);
    assert_eq!(account.grants[1].columns.as_ref().unwrap(), &["id", "Odd", "code"]);
    assert_eq!(account.policies[0].roles, [Role::Public]);
    assert!(!account.policies[0].using.is_true() && account.policies[1].using.is_true());
    assert_eq!(rights.0["open"].grants.len(), 1);
    assert_eq!(rights.0.keys().collect::<Vec<_>>(), ["above", "account", "open"]);
    let stored = serde_json::to_string(&rights).unwrap();
    assert_eq!(serde_json::from_str::<vitrina_sql::Rights>(&stored).unwrap(), rights);
}

#[test]
fn rights_are_no_meaning() {
    let with = model(&text("GRANT SELECT ON open TO a;"));
    let texts = |model: &vitrina_sql::Model| {
        model.meaning().into_iter().map(|part| part.text).collect::<Vec<_>>()
    };
    assert_eq!(texts(&with), texts(&model(TABLES)));
}

#[test]
fn conditions_are_the_users_text_with_columns_of_t() {
    for (using, compiled) in [
        ("true", "true"),
        ("owner = claim('sub')", r#"(t."owner" = $sub)"#),
        (
            "account.Owner = CLAIM ( 'sub' ) OR \"Odd\" IS NULL",
            r#"(t."owner" = $sub OR t."Odd" IS NULL)"#,
        ),
        ("owner = ANY (claims('groups'))", r#"(t."owner" = ANY ($groups[]))"#),
        ("level <= claim('level')::int", r#"(t."level" <= vitrina.readable($level, 'INT')::int)"#),
        (
            "level = ANY(claims('l')::int[]) AND CAST((claim('x')) AS uuid) = \"Odd\"",
            r#"(t."level" = ANY(vitrina.readable($l[], 'INT[]')::int[]) AND CAST((vitrina.readable($x, 'UUID')) AS uuid) = t."Odd")"#,
        ),
        (
            "account.code::int = 1 AND level::text = claim('l')::text",
            r#"(vitrina.readable(t."code", 'INT')::int = 1 AND t."level"::text = $l::text)"#,
        ),
        (
            "lower(owner) /* claim('y') */ = 'claim(''x'')'",
            "(lower(t.\"owner\") /* claim('y') */ = 'claim(''x'')')",
        ),
        ("pg_catalog.length(owner) > @ -5", "(pg_catalog.length(t.\"owner\") > @ -5)"),
    ] {
        assert_eq!(condition(using), compiled, "{using}");
    }
}

#[test]
fn what_one_value_settles_is_known() {
    let settled = |using: &str| {
        let rights = format!(
            "GRANT SELECT ON account TO a; CREATE POLICY p ON account FOR SELECT TO a USING ({using})"
        );
        model(&text(&rights)).policies[0].using.constant.clone()
    };
    assert_eq!(settled("owner = claim('sub') AND (level = 5 AND id > 'a')"), ["owner", "level"]);
    assert_eq!(settled("claim('sub') = account.owner"), ["owner"]);
    for using in [
        "owner = claim('sub') OR true",
        "owner = code",
        "NOT (owner = claim('s'))",
        "owner = ANY(claims('s'))",
    ] {
        assert!(settled(using).is_empty(), "{using}");
    }
}

#[test]
fn rights_that_are_refused() {
    for (rights, named) in [
        ("GRANT ALL ON account TO a", "GRANT ALL is not part"),
        ("GRANT SELECT, UPDATE ON account TO a", "GRANT UPDATE is not part"),
        ("GRANT staff TO a", "a role that has another one"),
        ("GRANT SELECT ON account TO a WITH GRANT OPTION", "an option of GRANT"),
        ("GRANT SELECT ON account TO a GRANTED BY b", "an option of GRANT"),
        ("GRANT SELECT ON ALL TABLES IN SCHEMA x TO a", "ON ALL TABLES"),
        ("GRANT SELECT ON SCHEMA x TO a", "expected TO, found `x`"),
        ("GRANT SELECT ON s.account TO a", "names a schema"),
        ("GRANT SELECT ON acount TO a", "did you mean `account`?"),
        ("GRANT SELECT (ownr) ON account TO a", "did you mean `owner`?"),
        ("GRANT SELECT (id, three) ON above TO a", "`above` has no column `three`"),
        ("GRANT SELECT () ON account TO a", "expected a column's name"),
        ("GRANT SELECT ON _helper TO a", "is a helper"),
        ("GRANT SELECT ON account TO CURRENT_USER", "the database's own user"),
        ("GRANT SELECT ON account TO none", "no role's name"),
        ("GRANT SELECT ON account", "the statement ends where TO should follow"),
        ("GRANT SELECT ON account TO a b", "expected a semicolon, found `b`"),
        ("CREATE POLICY p ON account FOR SELECT TO a USING (true) WITH CHECK (true)", "WITH CHECK"),
        ("CREATE POLICY p ON account AS RESTRICTIVE FOR SELECT TO a USING (true)", "RESTRICTIVE"),
        ("CREATE POLICY p ON account FOR ALL TO a USING (true)", "anything but SELECT"),
        ("CREATE POLICY p ON account FOR UPDATE TO a USING (true)", "anything but SELECT"),
        ("CREATE POLICY p ON account TO a USING (true)", "without FOR"),
        ("CREATE POLICY p ON account FOR SELECT USING (true)", "whom it is for"),
        ("CREATE POLICY p ON account FOR SELECT TO a", "USING should follow"),
        ("CREATE POLICY p ON account FOR SELECT TO a USING ()", "the condition is empty"),
        ("CREATE POLICY p ON shown FOR SELECT TO a USING (true)", "policies are on tables"),
        ("CREATE POLICY p ON _helper FOR SELECT TO a USING (true)", "is a helper"),
        ("CREATE POLICY p ON acount FOR SELECT TO a USING (true)", "did you mean `account`?"),
        (
            "CREATE POLICY p ON account FOR SELECT TO a USING (true); CREATE POLICY P ON account FOR SELECT TO a USING (true)",
            "is created in line",
        ),
    ] {
        let findings = refused(&text(rights));
        assert!(findings.contains(named), "{rights}: {findings}");
    }
}

#[test]
fn conditions_that_are_refused() {
    for (using, named) in [
        ("ownr = claim('sub')", "did you mean `owner`?"),
        ("open.id = 'a'", "is no column of it"),
        ("x.account.owner = 'a'", "is no column of it"),
        ("account IS NOT NULL", "no column `account`"),
        ("ctid IS NOT NULL", "no column `ctid`"),
        ("EXISTS (SELECT FROM open)", "sub-select"),
        ("owner IN (SELECT id FROM open)", "sub-select"),
        ("owner = current_user", "hangs on more"),
        ("level > now()", "reads the clock"),
        ("random() > 0.5", "hangs on more"),
        ("max(level) > 1", "more than one row"),
        ("row_number() OVER () = 1", "more than one row"),
        ("owner = claim(code)", "takes the claim's name"),
        ("owner = claim()", "takes the claim's name"),
        ("owner = claim('a', 'b')", "takes the claim's name"),
        ("level = (claim('a') || '1')::int", "cast the claim itself"),
        ("level = claim('a')::numeric::int", "cast the claim itself"),
        ("owner = $1", "is a parameter"),
        ("owner =", "Vitrina cannot read this"),
        ("true) OR (true", "expected"),
    ] {
        let findings = refused(&text(&format!(
            "GRANT SELECT ON account TO a; CREATE POLICY p ON account FOR SELECT TO a USING ({using})"
        )));
        assert!(findings.contains(named), "{using}: {findings}");
    }
}

#[test]
fn no_view_is_a_way_around_a_policy() {
    let policies =
        "CREATE POLICY own ON account FOR SELECT TO customer USING (owner = claim('sub'));
                    CREATE POLICY every ON account FOR SELECT TO staff USING (true);
                    GRANT SELECT ON account TO staff, customer;";
    for (grant, who) in [
        ("GRANT SELECT ON shown TO customer", "`customer`"),
        ("GRANT SELECT (one) ON above TO staff, customer", "`customer`"),
        ("GRANT SELECT ON shown TO PUBLIC", "PUBLIC"),
        ("GRANT SELECT ON shown TO other", "`other`"),
    ] {
        let findings = refused(&text(&format!("{policies}{grant}")));
        let expected = format!("whose policies do not let {who} read all of them");
        assert!(findings.contains(&expected), "{grant}: {findings}");
    }
    for grant in ["GRANT SELECT ON shown, above TO staff", "GRANT SELECT ON harmless TO PUBLIC"] {
        assert!(warnings(&text(&format!("{policies}{grant}"))).is_empty(), "{grant}");
    }
    // Without a policy there is nothing to get around.
    assert!(warnings(&text("GRANT SELECT ON shown TO PUBLIC")).is_empty());
}

#[test]
fn rights_without_an_effect_are_warned_of() {
    for (rights, warned) in [
        ("GRANT SELECT ON open TO Staff", r#"`Staff` without quotes is the role `staff`"#),
        (r#"GRANT SELECT ON open TO "Staff", staff"#, "differ in the case of letters only"),
        (
            "GRANT SELECT ON account TO a; CREATE POLICY p ON account FOR SELECT TO a USING (true);
             CREATE POLICY q ON account FOR SELECT TO b USING (true)",
            "policy `q` lets nobody read anything: `account` is not granted to `b`",
        ),
        (
            "GRANT SELECT ON account TO a, b; CREATE POLICY p ON account FOR SELECT TO a USING (true)",
            "no policy of `account` is for `b`",
        ),
    ] {
        let found = warnings(&text(rights));
        assert!(found.len() == 1 && found[0].contains(warned), "{rights}: {found:?}");
    }
    for fine in [
        r#"GRANT SELECT ON open TO "Staff""#,
        "GRANT SELECT ON account TO PUBLIC; CREATE POLICY p ON account FOR SELECT TO a USING (true)",
        "GRANT SELECT ON account TO a; CREATE POLICY p ON account FOR SELECT TO PUBLIC USING (true)",
        "GRANT SELECT ON shown TO a; CREATE POLICY p ON account FOR SELECT TO a USING (true)",
    ] {
        assert!(warnings(&text(fine)).is_empty(), "{fine}: {:?}", warnings(&text(fine)));
    }
}
