//! The OpenAPI 3.1 document, generated from the handlers. What all operations share is added here: security,
//! path parameters, the `Idempotency-Key` header, and problem responses.

use crate::checks::{CHECKED_AS, ONE_OF_REQUIRED, PLACES};
use crate::idempotency::KEY_MAX;
use crate::problem;
use dmrelay_domain::notification::IncidentKind;
use dmrelay_domain::permission::Permission;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use utoipa::OpenApi;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::Paths;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};

/// Extension with the permission an operation requires.
const PERMISSION: &str = "x-permission";

/// The HTTP methods in use.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// Bodies in which exactly one of several members is wanted.
const EITHER: [(&str, [&str; 2]); 3] = [
    ("CreateBroadcast", ["message", "templateId"]),
    ("CreateTarget", ["url", "email"]),
    ("Send", ["message", "templateId"]),
];

#[derive(OpenApi)]
#[openapi(
    info(
        title = "dmrelay",
        description = "Instagram direct messages, answered by a business's chat agent. Errors are problem documents \
            (RFC 9457). Lists return `{items, total, totalIsExact, limit, skip, nextCursor}`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
        contact(name = "Whoever runs this installation"),
    ),
    components(schemas(problem::ValidationError)),
    tags(
        (name = "Connection", description = "Instagram accounts and their settings"),
        (name = "History", description = "Chats and messages"),
        (name = "Templates", description = "Saved messages with variables"),
        (name = "Comments", description = "Comments on posts, and mentions"),
        (name = "Broadcasts", description = "Messages for many customers"),
        (name = "Takeover", description = "Human agents who answer in the agent's place"),
        (name = "Dead letters", description = "Events, turns and messages that failed permanently"),
        (name = "Activities", description = "The activity log: who did what, and when"),
        (name = "Events", description = "Live events"),
        (name = "Notifications", description = "What is wrong, and who is told of it"),
        (name = "Sessions", description = "Short-lived tokens for the people who use a frontend"),
        (name = "API keys", description = "API keys of a subaccount"),
        (name = "Usage", description = "What was used, and how it goes"),
        (name = "Pauses", description = "Calls that are held on purpose"),
        (name = "Privacy", description = "Erasing customers"),
        (name = "Provider key", description = "A subaccount's own key of the agent's provider"),
        (name = "Meta apps", description = "Meta apps that a subaccount has of its own"),
    ),
)]
struct Head;

/// The document without operations.
pub(crate) fn head() -> utoipa::openapi::OpenApi {
    let mut head = Head::openapi();
    let bearer = Http::builder()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "An API key (`dmr_…`), the token of a session (`dms_…`), or a JWT from the identity provider.",
        ))
        .build();
    let components = head.components.get_or_insert_default();
    components.security_schemes.insert("bearer".to_owned(), SecurityScheme::Http(bearer).into());
    head
}

/// Documents the permission that operations require.
pub(crate) fn note_permission(paths: &mut Paths, permission: Permission) {
    for item in paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            let note = ExtensionsBuilder::new().add(PERMISSION, permission.as_str()).build();
            operation.extensions.get_or_insert_default().merge(note);
            let needs = format!("Requires the permission `{permission}`.");
            let text = operation.description.take().filter(|text| !text.is_empty());
            operation.description = Some(text.map_or(needs.clone(), |text| format!("{text}\n\n{needs}")));
        }
    }
}

/// The id of the operation of a route.
pub(crate) fn operation_id(paths: &Paths) -> Option<&str> {
    paths.paths.values().find_map(|item| {
        let operations = [&item.get, &item.post, &item.put, &item.patch, &item.delete];
        operations.into_iter().flatten().find_map(|operation| operation.operation_id.as_deref())
    })
}

/// The whole document.
pub(crate) fn complete(openapi: &utoipa::openapi::OpenApi) -> Value {
    let mut document = serde_json::to_value(openapi).unwrap_or_default();
    let paths = document["paths"].as_object_mut().map(std::mem::take).unwrap_or_default();
    let paths: Map<String, Value> =
        paths.into_iter().map(|(path, item)| (path.clone(), complete_path(&path, item))).collect();
    document["paths"] = Value::Object(paths);
    document["components"]["responses"] = problems();
    require_all(&mut document);
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        schemas.extend(problem::schemas());
    }
    let schemas = &mut document["components"]["schemas"];
    // JSON Schema says it with `oneOf`, for which generators emit unusable types.
    for (name, either) in EITHER {
        schemas[name][ONE_OF_REQUIRED] = json!(either);
    }
    for (schema, property, rule) in PLACES {
        let schema = &mut schemas[schema];
        let place = match property {
            Some(name) => &mut schema["properties"][name],
            None => schema,
        };
        place[CHECKED_AS] = json!(rule);
    }
    describe(&mut document);
    show_examples(&mut document);
    add_written(&mut document);
    forget_unused_responses(&mut document);
    // As it is served, the document names the server itself.
    document["servers"] =
        json!([{ "url": "https://dmrelay.example.com", "description": "Your installation" }]);
    document["security"] = json!([{ "bearer": [] }]);
    document
}

fn complete_path(path: &str, mut item: Value) -> Value {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    item["parameters"] = names.map(path_parameter).collect();
    for method in METHODS {
        if item[method].is_object() {
            complete_operation(method, path, &mut item[method]);
        } else if let Some(methods) = item.as_object_mut() {
            methods.remove(method);
        }
    }
    item
}

fn path_parameter(name: &str) -> Value {
    let (schema, description) = match name {
        "subaccountId" => {
            (json!({ "type": "string", "pattern": "^[A-Za-z0-9_.-]{1,64}$" }), "The subaccount (tenant).")
        }
        "loginKind" => {
            (json!({ "type": "string", "enum": ["instagram", "facebook"] }), "The login the app is for.")
        }
        "instagramUserId" => (
            json!({ "type": "string", "pattern": "^[0-9]{1,32}$" }),
            "The customer, as the account sees them (IGSID).",
        ),
        "agentId" => (json!({ "type": "string", "pattern": "^[A-Za-z0-9_.-]{1,128}$" }), "The chat agent."),
        _ => (json!({ "type": "string", "format": "uuid" }), "An id assigned by dmrelay."),
    };
    json!({ "name": name, "in": "path", "required": true, "schema": schema, "description": description })
}

fn complete_operation(method: &str, path: &str, operation: &mut Value) {
    let writes = method != "get";
    if writes {
        let list = operation["parameters"].as_array_mut().map(std::mem::take).unwrap_or_default();
        operation["parameters"] = list.into_iter().chain([idempotency_key()]).collect();
    }
    // The middleware before the handlers adds these responses.
    let mut answers = vec![400, 401, 403, 404, 422, 429, 503, 504];
    if writes {
        answers.extend([409, 413]);
    }
    if !operation["requestBody"].is_null() {
        let body = &mut operation["requestBody"];
        if body["content"].get("application/json").is_some() {
            answers.push(415);
            make_optional(body);
        } else {
            describe_file(&mut body["content"]);
        }
    }
    if path.ends_with("/connect") || path.ends_with("/page") {
        answers.push(502);
    }
    if let Some(responses) = operation["responses"].as_object_mut() {
        for status in answers {
            describe_problem(responses, status);
        }
        let limits = ["RateLimit", "RateLimit-Policy"];
        let headers: Map<String, Value> = limits
            .iter()
            .map(|name| ((*name).to_owned(), json!({ "schema": { "type": "string" } })))
            .collect();
        for (_, response) in responses.iter_mut().filter(|(status, _)| status.starts_with('2')) {
            response["headers"] = Value::Object(headers.clone());
            if writes {
                response["headers"]["Idempotency-Replayed"] = replayed();
            }
            for kind in ["image/png", FILE] {
                let content = response.get_mut("content").and_then(|content| content.get_mut(kind));
                if let Some(file) = content {
                    file["schema"] = binary();
                }
            }
            let content = response.get_mut("content");
            if let Some(stream) = content.and_then(|content| content.get_mut("text/event-stream")) {
                describe_events(&mut stream["schema"]);
            }
        }
    }
}

/// The media type of any file.
const FILE: &str = "application/octet-stream";

fn binary() -> Value {
    json!({ "type": "string", "format": "binary" })
}

/// A file is the body, or a part of a form.
fn describe_file(content: &mut Value) {
    let form = json!({ "type": "object", "required": ["file"], "properties": { "file": binary() } });
    *content = json!({ FILE: { "schema": binary() }, "multipart/form-data": { "schema": form } });
}

/// A body that may be left out is not null instead.
fn make_optional(body: &mut Value) {
    let schema = &mut body["content"]["application/json"]["schema"];
    let branches = schema["oneOf"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_null = |branch: &Value| branch["type"] == "null";
    let others: Vec<Value> = branches.iter().filter(|branch| !is_null(branch)).cloned().collect();
    if let ([one], true) = (others.as_slice(), branches.iter().any(is_null)) {
        *schema = one.clone();
        body["required"] = json!(false);
    }
}

/// Each event of a stream has a name and its data as text; `reset` has no id.
fn describe_events(schema: &mut Value) {
    let data = schema.take();
    *schema = json!({
        "type": "object",
        "required": ["event", "data"],
        "properties": {
            "id": { "type": "string", "format": "uuid" },
            "event": { "anyOf": [{ "$ref": "#/components/schemas/LiveEventKind" }, { "const": "reset" }] },
            "data": { "type": "string", "contentMediaType": "application/json", "contentSchema": data },
        },
    });
}

fn describe_problem(responses: &mut Map<String, Value>, status: u16) {
    let special = responses.get(&status.to_string()).and_then(|own| own["description"].as_str());
    let response = match special {
        Some(description) => {
            let mut response = problem(status);
            response["description"] = json!(description);
            response
        }
        None => json!({ "$ref": format!("#/components/responses/Problem{status}") }),
    };
    responses.insert(status.to_string(), response);
}

fn idempotency_key() -> Value {
    json!({
        "name": "Idempotency-Key",
        "in": "header",
        "required": false,
        "description": "A client-chosen key: a repeated call with the same key runs once and gets the first call's response.",
        "schema": { "type": "string", "pattern": "^[!-~]+$", "minLength": 1, "maxLength": KEY_MAX },
    })
}

/// The header of a response that was given before.
fn replayed() -> Value {
    json!({
        "description": "`true` if an earlier call with the same `Idempotency-Key` was given this response.",
        "schema": { "type": "string", "enum": ["true"] },
    })
}

/// The problem responses of the middleware.
fn problems() -> Value {
    let all = [400, 401, 403, 404, 409, 413, 415, 422, 429, 502, 503, 504];
    Value::Object(all.into_iter().map(|status| (format!("Problem{status}"), problem(status))).collect())
}

fn problem(status: u16) -> Value {
    let (description, example) = match status {
        400 => ("The request is malformed", "malformed-request"),
        401 => ("A valid API key or token is required", "unauthenticated"),
        403 => ("The caller lacks the permission", "forbidden"),
        404 => ("Not found", "not-found"),
        409 => ("The current state does not allow this", "not-connected"),
        413 => ("The body is too large", "too-large"),
        415 => ("The body is not JSON", "unsupported-media-type"),
        422 => ("The request is not valid; `errors` lists each problem", "invalid-request"),
        429 => ("Too many requests; retry after `Retry-After`", "rate-limited"),
        502 => ("Unexpected response from Meta", "not-subscribed"),
        503 => ("The database, Meta or the identity provider is unavailable", "database-unavailable"),
        _ => ("The request timed out", "timeout"),
    };
    let mut shown = json!({
        "type": format!("urn:dmrelay:problem:{example}"),
        "code": example,
        "title": description,
        "status": status,
        "traceId": "0af7651916cd43dd8448eb211c80319c",
        "docUrl": format!("https://dmrelay.example.com{}#{example}", problem::PAGE),
    });
    match status {
        403 => shown["permission"] = json!(Permission::Send.as_str()),
        422 => shown["errors"] = json!([{ "pointer": "/message", "detail": "is required" }]),
        _ => {}
    }
    let mut response = json!({
        "description": description,
        "content": { "application/problem+json": {
            "schema": { "$ref": "#/components/schemas/Problem" },
            "example": shown,
        } },
    });
    if matches!(status, 429 | 503) {
        response["headers"] = json!({ "Retry-After": { "schema": { "type": "integer", "minimum": 0 } } });
    }
    if status == 401 {
        response["headers"] = json!({ "WWW-Authenticate": { "schema": { "type": "string" } } });
    }
    response
}

/// Responses always contain every field, null if it has no value. Only request bodies and problems have
/// optional fields.
fn require_all(document: &mut Value) {
    let mut asked = vec!["Fault".to_owned()];
    for item in document["paths"].as_object().into_iter().flatten().map(|(_, item)| item) {
        for method in METHODS {
            collect_refs(&item[method]["requestBody"], &mut asked);
        }
    }
    let Some(schemas) = document["components"]["schemas"].as_object_mut() else { return };
    // What is inside what is asked for is asked for, too.
    let mut looked = 0;
    while let Some(name) = asked.get(looked).cloned() {
        looked += 1;
        let mut inside = Vec::new();
        collect_refs(schemas.get(&name).unwrap_or(&Value::Null), &mut inside);
        inside.retain(|name| !asked.contains(name));
        asked.extend(inside);
    }
    for (name, schema) in schemas {
        if let Some(item) = name.strip_prefix("List_") {
            schema["properties"]["items"]["items"] =
                json!({ "$ref": format!("#/components/schemas/{item}") });
        }
        if asked.contains(name) {
            continue;
        }
        require(schema);
        if let Some(parts) = schema.get_mut("allOf").and_then(Value::as_array_mut) {
            parts.iter_mut().for_each(require);
        }
    }
}

/// Texts for what the types do not describe: of one property (`Schema.property`), of all of a name (`*.property`), and of query
/// parameters (`?name`).
fn descriptions() -> BTreeMap<String, String> {
    serde_json::from_str(include_str!("openapi/descriptions.json")).unwrap_or_default()
}

/// Describes what is not described yet.
fn describe(document: &mut Value) {
    let texts = descriptions();
    for (name, schema) in document["components"]["schemas"].as_object_mut().into_iter().flatten() {
        describe_properties(name, schema, &texts);
        for part in schema.get_mut("allOf").and_then(Value::as_array_mut).into_iter().flatten() {
            describe_properties(name, part, &texts);
        }
    }
    let items = document["paths"].as_object_mut().into_iter().flatten().map(|(_, item)| item);
    let operations = items.flat_map(|item| item.as_object_mut().into_iter().flatten());
    let lists = operations.filter_map(|(_, operation)| operation.get_mut("parameters")?.as_array_mut());
    for parameter in lists.flatten() {
        let text = parameter["name"].as_str().and_then(|name| texts.get(&format!("?{name}")));
        if let Some(text) = text.filter(|_| parameter["description"].is_null()) {
            parameter["description"] = json!(text);
        }
    }
}

fn describe_properties(schema_name: &str, schema: &mut Value, texts: &BTreeMap<String, String>) {
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for (name, property) in properties.into_iter().flatten() {
        let own = || texts.get(&format!("{schema_name}.{name}"));
        let Some(text) = own().or_else(|| texts.get(&format!("*.{name}"))) else { continue };
        let is_described =
            !property["description"].is_null() || !property["$ref"].is_null() || is_union(property);
        if !is_described {
            property["description"] = json!(text);
        }
    }
}

/// Whether it is one of several, which describe themselves.
fn is_union(property: &Value) -> bool {
    let branches = property["oneOf"].as_array();
    branches.is_some_and(|branches| branches.iter().any(|branch| !branch["description"].is_null()))
}

/// Adds what is sent to the webhooks of notification targets, and what is stored as JSON.
fn add_written(document: &mut Value) {
    document["webhooks"] = serde_json::from_str(include_str!("openapi/webhooks.json")).unwrap_or_default();
    let texts = [include_str!("openapi/webhook-schemas.json"), include_str!("openapi/message-schemas.json")];
    if let Some(all) = document["components"]["schemas"].as_object_mut() {
        for text in texts {
            all.extend(serde_json::from_str::<Map<String, Value>>(text).unwrap_or_default());
        }
        let kinds: Vec<&str> = IncidentKind::ALL.iter().map(|kind| kind.as_str()).collect();
        all["IncidentWebhook"]["properties"]["data"]["properties"]["kind"]["enum"] = json!(kinds);
    }
}

/// Removes the problem responses that no operation refers to.
fn forget_unused_responses(document: &mut Value) {
    let paths = document["paths"].to_string();
    if let Some(responses) = document["components"]["responses"].as_object_mut() {
        responses.retain(|name, _| paths.contains(&format!("\"#/components/responses/{name}\"")));
    }
}

/// Adds one example to each schema that has some.
fn show_examples(document: &mut Value) {
    let examples: Map<String, Value> =
        serde_json::from_str(include_str!("openapi/examples.json")).unwrap_or_default();
    for (name, example) in examples {
        if let Some(schema) = document["components"]["schemas"].get_mut(&name) {
            schema["examples"] = json!([example]);
        }
    }
}

fn require(schema: &mut Value) {
    let names =
        schema["properties"].as_object().map(|properties| properties.keys().cloned().collect::<Vec<_>>());
    if let Some(names) = names {
        schema["required"] = json!(names);
    }
}

fn collect_refs(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            let name = members.get("$ref").and_then(Value::as_str).and_then(|to| to.rsplit('/').next());
            names.extend(name.map(str::to_owned));
            members.values().for_each(|member| collect_refs(member, names));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_refs(item, names)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Indexing makes what is not there: a name that is wrong would become a member.
    #[test]
    fn the_checks_are_of_members_that_exist() {
        let document = crate::openapi_document();
        let schemas = &document["components"]["schemas"];
        for (schema, property, rule) in PLACES {
            let place = match property {
                Some(name) => &schemas[schema]["properties"][name],
                None => &schemas[schema],
            };
            let has_more = place.as_object().is_some_and(|members| {
                members.keys().any(|name| ["type", "$ref", "oneOf", "properties"].contains(&name.as_str()))
            });
            assert!(has_more, "{schema}.{property:?}: {rule}");
        }
        for (schema, names) in EITHER {
            for name in names {
                assert!(schemas[schema]["properties"][name].is_object(), "{schema}.{name}");
            }
        }
        // What connects an account is read as a change of its settings, too.
        let names = |schema: &str| {
            schemas[schema]["properties"].as_object().unwrap().keys().cloned().collect::<Vec<_>>()
        };
        let changes = names("ChangeSettings");
        assert!(names("ConnectionSettings").iter().all(|name| changes.contains(name)));
    }

    #[test]
    fn everything_is_described() {
        let document = crate::openapi_document();
        let mut silent = Vec::new();
        for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
            let parts = schema["allOf"].as_array().into_iter().flatten().chain([schema]);
            let properties = parts.flat_map(|part| part["properties"].as_object().into_iter().flatten());
            for (property, it) in properties {
                if it["description"].is_null() && it["$ref"].is_null() && !is_union(it) {
                    silent.push(format!("{name}.{property}"));
                }
            }
        }
        let items = document["paths"].as_object().unwrap().values();
        for (_, operation) in items.flat_map(|item| item.as_object().unwrap()) {
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                if parameter["description"].is_null() {
                    silent.push(format!("{}?{}", operation["operationId"], parameter["name"]));
                }
            }
        }
        assert_eq!(silent, Vec::<String>::new());
    }

    #[test]
    fn no_description_is_for_nothing() {
        let document = crate::openapi_document().to_string();
        let idle = |text: &String| !document.contains(&json!(text).to_string());
        let places = descriptions().into_iter().filter(|(_, text)| idle(text));
        assert_eq!(places.map(|(place, _)| place).collect::<Vec<_>>(), Vec::<String>::new());
    }
}
