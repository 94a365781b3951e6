//! Every function that rules may not call, in one list: two runs over the same log must give the same rows, and what
//! reads the clock, the session, the catalogue or a sequence, or draws at random, gives others.

/// Why a function is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Ends the sentence "`name` …".
    pub what: &'static str,
    /// The way out.
    pub help: &'static str,
    /// Only the clock: views may read it, because they are computed when they are read.
    pub clock: bool,
}

const CLOCK: Refusal = Refusal {
    what: "reads the clock, so a rebuild would give other rows",
    help: "use the event's time, `_time`",
    clock: true,
};
const SESSION: Refusal = Refusal {
    what: "reads the session, which differs between runs",
    help: "use what the event says, or write the value out",
    clock: false,
};
const CATALOGUE: Refusal = Refusal {
    what: "reads or changes what lies outside of the model",
    help: "a model reads its events and its own tables only; write the value out",
    clock: false,
};
const SEQUENCE: Refusal = Refusal {
    what: "uses a sequence, whose numbers differ between runs",
    help: "use what identifies the event: `_event_id`, or `_topic`, `_partition` and `_offset`",
    clock: false,
};
const RANDOM: Refusal = Refusal {
    what: "draws at random, so a rebuild would give other rows",
    help: "use `_event_id`, or an identifier that the event carries",
    clock: false,
};

const REFUSED: [(Refusal, &str); 5] = [
    (
        CLOCK,
        "now clock_timestamp statement_timestamp transaction_timestamp timeofday \
         current_date current_time current_timestamp localtime localtimestamp",
    ),
    (
        SESSION,
        "current_user session_user system_user user current_role current_catalog current_schema current_database \
         current_schemas current_setting set_config setseed getpgusername version current_query row_security_active \
         inet_client_addr inet_client_port inet_server_addr inet_server_port get_current_ts_config \
         getdatabaseencoding",
    ),
    (
        CATALOGUE,
        "col_description obj_description shobj_description format_type oidvectortypes aclexplode mxid_age currtid2 \
         has_any_column_privilege has_column_privilege has_database_privilege has_foreign_data_wrapper_privilege \
         has_function_privilege has_language_privilege has_parameter_privilege has_schema_privilege \
         has_sequence_privilege has_server_privilege has_table_privilege has_tablespace_privilege has_type_privilege \
         has_largeobject_privilege regclass regcollation regnamespace regoper regoperator regproc regprocedure regrole \
         regtype loread lowrite ts_stat ts_rewrite icu_unicode_version unicode_version unicode_assigned",
    ),
    (SEQUENCE, "nextval currval lastval setval"),
    (RANDOM, "random random_normal gen_random_uuid uuidv4 uuidv7"),
];

/// Families of functions, by how their names begin.
const REFUSED_PREFIXES: [&str; 13] = [
    "pg_",
    "txid_",
    "lo_",
    "to_reg",
    "binary_upgrade_",
    "brin_",
    "gin_clean",
    "dblink",
    "database_to_xml",
    "schema_to_xml",
    "table_to_xml",
    "query_to_xml",
    "cursor_to_xml",
];

/// Makes one row of many, or answers for a row by looking at others.
const AGGREGATES: &str = "any_value array_agg avg bit_and bit_or bit_xor bool_and bool_or corr count covar_pop \
    covar_samp cume_dist dense_rank every first_value grouping json_agg json_agg_strict json_arrayagg \
    json_object_agg json_object_agg_strict json_object_agg_unique json_object_agg_unique_strict json_objectagg \
    jsonb_agg jsonb_agg_strict jsonb_object_agg jsonb_object_agg_strict jsonb_object_agg_unique \
    jsonb_object_agg_unique_strict lag last_value lead max min mode nth_value ntile percent_rank percentile_cont \
    percentile_disc range_agg range_intersect_agg rank regr_avgx regr_avgy regr_count regr_intercept regr_r2 \
    regr_slope regr_sxx regr_sxy regr_syy row_number stddev stddev_pop stddev_samp string_agg sum var_pop var_samp \
    variance xmlagg";

/// Shows in which order its rows came.
const SHOWING_ORDER: &str = "array_agg json_agg json_agg_strict json_arrayagg json_object_agg json_object_agg_strict \
    json_objectagg jsonb_agg jsonb_agg_strict string_agg xmlagg";

/// Makes many rows of one.
const SET_RETURNING: &str = "generate_series generate_subscripts json_array_elements json_array_elements_text json_each \
    json_each_text json_object_keys json_populate_recordset json_to_recordset jsonb_array_elements \
    jsonb_array_elements_text jsonb_each jsonb_each_text jsonb_object_keys jsonb_path_query jsonb_path_query_tz \
    jsonb_populate_recordset jsonb_to_recordset regexp_matches regexp_split_to_table string_to_table ts_debug ts_parse \
    ts_token_type unnest";

/// Whether a function of this (folded) name is refused, whatever its arguments. One-argument `age` is refused, too;
/// only a call can tell.
pub fn refused(name: &str) -> Option<Refusal> {
    if REFUSED_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        return Some(CATALOGUE);
    }
    REFUSED.iter().find(|(_, names)| holds(names, name)).map(|(refusal, _)| *refusal)
}

/// As [`refused`], for a call with that many arguments.
pub(crate) fn refused_call(name: &str, arguments: usize) -> Option<Refusal> {
    if name == "age" && arguments == 1 { Some(CLOCK) } else { refused(name) }
}

/// The words that are values without parentheses, where no column can be meant.
pub(crate) fn refused_word(name: &str) -> Option<Refusal> {
    refused(name).filter(|_| {
        name.starts_with("current_")
            || holds("localtime localtimestamp session_user system_user user", name)
    })
}

pub(crate) fn is_aggregate(name: &str) -> bool {
    holds(AGGREGATES, name)
}

pub(crate) fn shows_order(name: &str) -> bool {
    holds(SHOWING_ORDER, name)
}

pub(crate) fn is_set_returning(name: &str) -> bool {
    holds(SET_RETURNING, name)
}

fn holds(names: &str, name: &str) -> bool {
    names.split_whitespace().any(|other| other == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_must_never_slip_through() {
        for name in [
            "now",
            "random",
            "nextval",
            "pg_sleep",
            "txid_current",
            "current_setting",
            "to_regclass",
            "version",
        ] {
            assert!(refused(name).is_some(), "{name}");
        }
        for name in [
            "date_trunc",
            "to_char",
            "concat",
            "jsonb_agg",
            "extract",
            "coalesce",
            "to_jsonb",
            "age",
            "format",
        ] {
            assert_eq!(refused(name), None, "{name}");
        }
        assert!(refused_call("age", 1).is_some() && refused_call("age", 2).is_none());
        assert!(refused_word("current_user").is_some() && refused_word("version").is_none());
    }
}
