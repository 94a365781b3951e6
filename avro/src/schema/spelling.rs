//! Which names a schema may give. The specification's letters, and those that Java's writers give besides: any letter of
//! Unicode, `$` of inner classes, `-` of servers and topics. Namespaces are parts of such names, empty or not.

use std::sync::Once;

use apache_avro::AvroResult;
use apache_avro::error::Details;
use apache_avro::validator::{
    EnumSymbolNameValidator, RecordFieldNameValidator, SchemaNameValidator,
    SchemaNamespaceValidator, set_enum_symbol_name_validator, set_record_field_name_validator,
    set_schema_name_validator, set_schema_namespace_validator,
};

const NAMES: &str = "letters, digits, _, - and $, no digit or - first";
const NAMESPACES: &str = "letters, digits, _, - and $ with dots between";

/// Teaches the parser these names, before it reads its first schema.
pub(super) fn teach() {
    static TAUGHT: Once = Once::new();
    TAUGHT.call_once(|| {
        // Whoever was here before in this process has taught it other names: those hold.
        let _ = set_schema_name_validator(Box::new(Spelling));
        let _ = set_schema_namespace_validator(Box::new(Spelling));
        let _ = set_record_field_name_validator(Box::new(Spelling));
        let _ = set_enum_symbol_name_validator(Box::new(Spelling));
    });
}

struct Spelling;

impl SchemaNameValidator for Spelling {
    fn validate(&self, name: &str) -> AvroResult<usize> {
        let start = name.rfind('.').map_or(0, |dot| dot + 1);
        let (namespace, own) = name.split_at(start);
        if is_name(own) && is_namespace(namespace) {
            return Ok(start);
        }
        Err(Details::InvalidSchemaName(name.to_owned(), NAMES).into())
    }
}

impl SchemaNamespaceValidator for Spelling {
    fn validate(&self, namespace: &str) -> AvroResult<()> {
        let namespace = is_namespace(namespace).then_some(()).ok_or(namespace);
        namespace.map_err(|other| Details::InvalidNamespace(other.to_owned(), NAMESPACES).into())
    }
}

impl RecordFieldNameValidator for Spelling {
    fn validate(&self, name: &str) -> AvroResult<()> {
        let name = is_name(name).then_some(()).ok_or(name);
        name.map_err(|other| Details::FieldName(other.to_owned()).into())
    }
}

impl EnumSymbolNameValidator for Spelling {
    fn validate(&self, name: &str) -> AvroResult<()> {
        let name = is_name(name).then_some(()).ok_or(name);
        name.map_err(|other| Details::EnumSymbolName(other.to_owned()).into())
    }
}

fn is_name(name: &str) -> bool {
    let first = |first: char| first.is_alphabetic() || matches!(first, '_' | '$');
    name.starts_with(first) && name.chars().all(is_part)
}

fn is_namespace(namespace: &str) -> bool {
    namespace.chars().all(|part| part == '.' || is_part(part))
}

fn is_part(part: char) -> bool {
    part.is_alphanumeric() || matches!(part, '_' | '-' | '$')
}
