//! The checks know every keyword of the document, and tell faults in words.

use super::*;
use serde_json::json;
use std::collections::BTreeSet;

/// What the checks know, and what says nothing about what is valid.
const KEYWORDS: [&str; 28] = [
    "$ref",
    "oneOf",
    "anyOf",
    "allOf",
    "type",
    "enum",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "items",
    "required",
    ONE_OF_REQUIRED,
    CHECKED_AS,
    "properties",
    "additionalProperties",
    "minProperties",
    "maxProperties",
    "propertyNames",
    "description",
    "title",
    "default",
    "example",
    "examples",
];
/// Formats that handlers check, or that follow from the type.
const FORMATS: [&str; 6] = ["uuid", "date-time", "date", "email", "int32", "int64"];

fn walk(schemas: &Value, schema: &Value, seen: &mut BTreeSet<String>) {
    if let Some(name) = schema["$ref"].as_str().and_then(|to| to.rsplit('/').next()) {
        if seen.insert(name.to_owned()) {
            walk(schemas, &schemas[name], seen);
        }
        return;
    }
    let Some(members) = schema.as_object() else { return };
    for (keyword, value) in members {
        assert!(KEYWORDS.contains(&keyword.as_str()), "{keyword} is not checked: {schema}");
        match keyword.as_str() {
            "pattern" => assert!(known_pattern(value.as_str().unwrap()).is_some(), "{value}"),
            CHECKED_AS => assert!(rules::is_known(value.as_str().unwrap()), "{value}"),
            "format" => assert!(FORMATS.contains(&value.as_str().unwrap()), "{value}"),
            "properties" => value.as_object().unwrap().values().for_each(|one| walk(schemas, one, seen)),
            "oneOf" | "anyOf" | "allOf" => {
                value.as_array().unwrap().iter().for_each(|one| walk(schemas, one, seen));
            }
            "items" | "additionalProperties" | "propertyNames" => walk(schemas, value, seen),
            _ => {}
        }
    }
}

#[test]
fn every_keyword_of_the_document_is_checked() {
    let checks = Checks::of(&crate::openapi_document());
    assert!(checks.len() > 50, "{}", checks.len());
    let mut seen = BTreeSet::new();
    for Checks(parts) in checks.values() {
        let all = parts.body.iter().chain(parts.query.values());
        all.for_each(|schema| walk(&parts.schemas, schema, &mut seen));
    }
    assert!(seen.contains("Send"), "{seen:?}");
}

fn faults(operation: &str, body: &Value) -> String {
    let all = Checks::of(&crate::openapi_document());
    let faults = all[operation].faults(body).all.into_iter();
    faults.map(|(pointer, what)| format!("{pointer}: {what}")).collect::<Vec<_>>().join("; ")
}

#[test]
fn all_faults_are_told_at_once_in_words() {
    let body = json!({ "instagramUserId": "12/34", "mesage": "x", "connectionId": 5, "sentBy": "" });
    let told = faults("sendMessage", &body);
    for fault in [
        "/instagramUserId: must be digits only, at most 32",
        "/message: is required",
        "/mesage: is not a field of this object; did you mean message?",
        "/connectionId: must be a string, or null",
        "/sentBy: must not be empty",
    ] {
        assert!(told.contains(fault), "{fault}: {told}");
    }
    assert_eq!(faults("sendMessage", &json!({ "instagramUserId": "1", "message": "x" })), "");
    let told = faults("sendMessage", &json!({ "instagramUserId": "1", "message": 7 }));
    assert!(told.contains("/message: must be a string, or an object"), "{told}");
    let told =
        faults("changeSettings", &json!({ "takeoverHours": 1.5, "debounceMs": 70_000, "typing": "yes" }));
    for fault in [
        "/takeoverHours: must be a whole number",
        "/debounceMs: must be 0 to 60000",
        "/typing: must be true or false",
    ] {
        assert!(told.contains(fault), "{fault}: {told}");
    }
    assert!(faults("sendMessage", &json!([1])).contains("must be an object"));
}

#[test]
fn query_strings_are_checked_too() {
    let checks = &Checks::of(&crate::openapi_document())["listChats"];
    assert!(checks.query("limit=10&instagramUserId=12&folder=failed").is_ok());
    let told = checks.query("limit=lots&instagramUserId=ada&foldr=x&skip=1&skip=2").unwrap_err().told();
    for fault in [
        "limit: must be a whole number",
        "instagramUserId: must be digits only, at most 32",
        "foldr: is not a parameter of this call; did you mean folder?",
        "skip: is given more than once",
    ] {
        assert!(told.contains(fault), "{fault}: {told}");
    }
}
