//! The kinds of problems: one table, from which the OpenAPI document, the page of problems and the checks in tests are made.
//! docs/api.md has the same table, which a test holds.

use dmrelay_views::enums;
use serde_json::{Map, Value, json};
use utoipa::openapi::ObjectBuilder;

/// The path of the page that explains the problems.
pub(crate) const PAGE: &str = "/api/problems";

/// A kind of problem.
#[derive(Debug)]
pub(crate) struct Kind {
    /// The stable word.
    pub(crate) code: &'static str,
    /// The statuses it comes with.
    pub(crate) statuses: &'static [u16],
    /// When it occurs, in Markdown with code spans only.
    pub(crate) when: &'static str,
    pub(crate) extras: Extras,
}

/// Which further members a problem has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extras {
    None,
    Errors,
    Permission,
    ConnectionStatus,
    Connections,
    Window,
    Agent,
    Account,
    Graph,
    Missing,
    Pause,
}

const fn kind(code: &'static str, statuses: &'static [u16], when: &'static str, extras: Extras) -> Kind {
    Kind { code, statuses, when, extras }
}

/// Every kind.
pub(crate) static KINDS: &[Kind] = &[
    kind("malformed-request", &[400], "the body is not JSON, or the path is not UTF-8", Extras::None),
    kind("unauthenticated", &[401], "no valid API key or token", Extras::None),
    kind(
        "forbidden",
        &[403],
        "the caller lacks the `permission` that is named; `role` is the one they have in the subaccount",
        Extras::Permission,
    ),
    kind(
        "agent-not-assigned",
        &[403],
        "connecting to an agent that is another subaccount's, or nobody's and to be assigned by the operator",
        Extras::None,
    ),
    kind(
        "signature-refused",
        &[403],
        "a webhook or callback of Meta without a valid signature",
        Extras::None,
    ),
    kind("handshake-refused", &[403], "a verification handshake with the wrong token", Extras::None),
    kind("not-found", &[404], "no such path, connection, chat, dead letter or key", Extras::None),
    kind(
        "not-connected",
        &[404, 409],
        "no account is connected (404); the account cannot send now (409, with `connectionStatus`)",
        Extras::ConnectionStatus,
    ),
    kind("unknown-recipient", &[404], "the user has never written to the account", Extras::None),
    kind("not-paused", &[409], "nothing of this is paused", Extras::None),
    kind("method-not-allowed", &[405], "the path does not support this method", Extras::None),
    kind("body-timeout", &[408], "the body did not come within `API_BODY_TIMEOUT`", Extras::None),
    kind("too-many-keys", &[409], "the subaccount has `API_KEYS_PER_SUBACCOUNT` live API keys", Extras::None),
    kind(
        "too-many-targets",
        &[409],
        "the subaccount has `NOTIFICATION_TARGETS_PER_SUBACCOUNT` notification targets",
        Extras::None,
    ),
    kind(
        "too-many-sessions",
        &[409],
        "the subaccount has `SESSIONS_PER_SUBACCOUNT` sessions that have not ended",
        Extras::None,
    ),
    kind(
        "target-disabled",
        &[409],
        "the notification target is disabled, and cannot be tested",
        Extras::None,
    ),
    kind(
        "no-secret-to-replace",
        &[409],
        "the target is an e-mail address, or its secret was replaced at the same time",
        Extras::None,
    ),
    kind("not-failed", &[409], "the notification was not given up, or its target is disabled", Extras::None),
    kind("login-not-configured", &[409], "there is no Meta app for the login", Extras::None),
    kind("no-page-choice", &[409], "the session does not wait for the choice of a Page", Extras::None),
    kind("ambiguous-connection", &[409], "several accounts; `connections` lists them", Extras::Connections),
    kind(
        "account-in-use",
        &[409],
        "the account is connected, or being connected, in another subaccount",
        Extras::None,
    ),
    kind(
        "connected-to-another-agent",
        &[409],
        "connected to another agent of the same subaccount; `agentId` names it",
        Extras::Agent,
    ),
    kind(
        "window-closed",
        &[409],
        "Meta's 24 hours since the user's last message are over; `windowExpiresAt` says since when",
        Extras::Window,
    ),
    kind("not-open", &[409], "the dead letter is already replayed or discarded", Extras::None),
    kind("not-replayable", &[409], "the dead letter cannot be replayed now; `detail` says why", Extras::None),
    kind("template-name-taken", &[409], "another template of the subaccount has this name", Extras::None),
    kind(
        "too-many-templates",
        &[409],
        "the subaccount has `TEMPLATES_PER_SUBACCOUNT` templates",
        Extras::None,
    ),
    kind("broadcast-state", &[409], "the broadcast is over, or not paused", Extras::None),
    kind("template-changed", &[409], "somebody has changed the template since it was read", Extras::None),
    kind("rules-changed", &[409], "somebody has changed the rules meanwhile (in the console)", Extras::None),
    kind("comment-state", &[409], "this action is already done or in progress for the comment", Extras::None),
    kind("media-not-kept", &[409], "`MEDIA_STORE` is empty: files cannot be uploaded", Extras::None),
    kind("media-pending", &[409], "the medium is being fetched from Meta; `Retry-After`", Extras::None),
    kind(
        "media-unavailable",
        &[410],
        "the medium could not be fetched from Meta, or is not in the store any more; `detail` says why",
        Extras::None,
    ),
    kind("range-not-satisfiable", &[416], "the medium does not have the bytes of `Range`", Extras::None),
    kind("store-unavailable", &[503], "the store of media does not answer; `Retry-After`", Extras::None),
    kind(
        "idempotency-key-in-use",
        &[409],
        "the first call with this `Idempotency-Key` is in progress; `Retry-After`",
        Extras::None,
    ),
    kind(
        "idempotency-answer-lost",
        &[409],
        "the stored response of the first call can no longer be decrypted",
        Extras::None,
    ),
    kind("erasing", &[409], "the account or the subaccount is being erased", Extras::None),
    kind("too-large", &[413], "the body is too large", Extras::None),
    kind("unsupported-media-type", &[415], "the body is not `application/json`", Extras::None),
    kind("provider-key-refused", &[422], "Retell does not accept the key", Extras::None),
    kind(
        "agent-not-found",
        &[422],
        "the agent is not of the workspace of the subaccount's key; `agentId`",
        Extras::Agent,
    ),
    kind("invalid-request", &[422], "validation errors, listed in `errors`", Extras::Errors),
    kind(
        "wrong-account",
        &[422],
        "the login or the token is for another account than `instagramAccountId`; `detail` says which is expected",
        Extras::Account,
    ),
    kind(
        "no-instagram-account",
        &[422],
        "no Instagram professional account belongs to the token, or none is linked to its Page; `detail` says what to do",
        Extras::Graph,
    ),
    kind(
        "graph-misconfigured",
        &[422],
        "`GRAPH_URL` or `INSTAGRAM_GRAPH_URL` is the address of something else",
        Extras::None,
    ),
    kind(
        "token-rejected",
        &[422],
        "Meta does not accept the access token; `graphCode` has its code",
        Extras::Graph,
    ),
    kind(
        "missing-permission",
        &[422],
        "Meta does not allow this for the account or the app, with `graphCode`; or the person did not grant the permissions in `missing`",
        Extras::Missing,
    ),
    kind(
        "graph-refused",
        &[422, 502],
        "Meta rejected the call, with `graphCode`, or answered with what cannot be used. In a session also: the login was too long ago",
        Extras::Graph,
    ),
    kind("search-too-long", &[422], "a search took longer than `SEARCH_TIMEOUT`; narrow it", Extras::None),
    kind("idempotency-key-reused", &[422], "the key was used for a different call", Extras::None),
    kind(
        "token-of-another-app",
        &[422],
        "the access token belongs to another Meta app than the one that is set up",
        Extras::None,
    ),
    kind(
        "tested-lately",
        &[429],
        "the target was tested within the last 10 seconds, or the subaccount's targets `NOTIFICATION_TESTS_PER_DAY` times today; `Retry-After`",
        Extras::None,
    ),
    kind(
        "too-many-connect-sessions",
        &[429],
        "`CONNECT_SESSIONS_PER_SUBACCOUNT` links of the subaccount are valid; `Retry-After`",
        Extras::None,
    ),
    kind("rate-limited", &[429], "too many requests; `Retry-After`", Extras::None),
    kind(
        "too-many-readers",
        &[429],
        "`READERS_PER_SUBACCOUNT` lists of the subaccount are being read, or half of what all have; `Retry-After`",
        Extras::None,
    ),
    kind("internal", &[500], "a bug in dmrelay; see the log", Extras::None),
    kind("not-subscribed", &[502], "Graph accepted the subscription but does not list it", Extras::None),
    kind(
        "provider-unavailable",
        &[503],
        "Retell cannot tell now whether the key reads the agent; `Retry-After`",
        Extras::None,
    ),
    kind("graph-unavailable", &[503], "Meta is unreachable; `Retry-After`", Extras::Graph),
    kind("database-unavailable", &[503], "the database is unavailable; `Retry-After`", Extras::None),
    kind(
        "busy",
        &[503],
        "bodies of `API_MAX_BYTES_READING`, or of `API_MAX_BYTES_PER_PRINCIPAL` for one caller and `API_MAX_BYTES_PER_SUBACCOUNT` for one subaccount, are being read; `Retry-After`",
        Extras::None,
    ),
    kind(
        "keys-unavailable",
        &[503],
        "the identity provider's keys are unavailable; `Retry-After`",
        Extras::None,
    ),
    kind(
        "too-many-streams",
        &[503],
        "this process has reached its limit of event streams; `Retry-After`",
        Extras::None,
    ),
    kind("connecting-paused", &[503], "connecting is paused, by `pause`; `Retry-After`", Extras::Pause),
    kind("unavailable", &[503], "webhooks cannot be stored now: Meta delivers them again", Extras::None),
    kind("timeout", &[504], "the call took longer than `API_TIMEOUT`", Extras::None),
    kind(
        "key-revoked",
        &[403],
        "in a session: the API key it was made with was revoked or has expired",
        Extras::None,
    ),
    kind(
        "login-failed",
        &[409],
        "in a session: Meta could not log the person in; `errorDetail` has Meta's words",
        Extras::None,
    ),
];

impl Extras {
    const ALL: [Self; 11] = [
        Self::None,
        Self::Errors,
        Self::Permission,
        Self::ConnectionStatus,
        Self::Connections,
        Self::Window,
        Self::Agent,
        Self::Account,
        Self::Graph,
        Self::Missing,
        Self::Pause,
    ];

    /// The name of the schema of problems with these members.
    fn schema_name(self) -> &'static str {
        match self {
            Self::None => "PlainProblem",
            Self::Errors => "InvalidRequestProblem",
            Self::Permission => "ForbiddenProblem",
            Self::ConnectionStatus => "NotConnectedProblem",
            Self::Connections => "AmbiguousConnectionProblem",
            Self::Window => "WindowProblem",
            Self::Agent => "AgentProblem",
            Self::Account => "WrongAccountProblem",
            Self::Graph => "GraphProblem",
            Self::Missing => "MissingPermissionProblem",
            Self::Pause => "PausedProblem",
        }
    }

    /// The members that are always there.
    fn required(self) -> &'static [&'static str] {
        match self {
            Self::Errors => &["errors"],
            Self::Connections => &["connections"],
            Self::Agent => &["agentId"],
            Self::Pause => &["pause"],
            _ => &[],
        }
    }

    /// What is told of a problem with these members.
    fn about(self) -> &'static str {
        match self {
            Self::None => "A problem without further members.",
            Self::Errors => "A request that is not valid, with every fault.",
            Self::Permission => "The caller lacks a permission, or may not do this.",
            Self::ConnectionStatus => "The account cannot do this in its state.",
            Self::Connections => "The agent has several accounts, of which one must be named.",
            Self::Window => "Meta lets nobody write to the customer now.",
            Self::Agent => "Another agent stands in the way.",
            Self::Account => "The account is not the one that was meant.",
            Self::Graph => "Meta refused, or could not be reached.",
            Self::Missing => "The person did not grant what is needed at Meta.",
            Self::Pause => "The calls are paused on purpose.",
        }
    }

    /// The schemas of the members, by name.
    pub(crate) fn members(self) -> Vec<(&'static str, Value)> {
        let text = |what: &str| json!({ "type": "string", "description": what });
        let words = |words: ObjectBuilder, what: &str| {
            let mut schema = serde_json::to_value(words.build()).unwrap_or_default();
            schema["description"] = what.into();
            schema
        };
        match self {
            Self::None => Vec::new(),
            Self::Errors => {
                let items = json!({ "$ref": "#/components/schemas/Fault" });
                let what = "The faults of the request.";
                vec![("errors", json!({ "type": "array", "items": items, "description": what }))]
            }
            Self::Permission => vec![
                ("permission", words(enums::permission(), "The permission that the call requires.")),
                (
                    "role",
                    words(
                        enums::role(),
                        "The caller's role in the subaccount; absent if they have none there.",
                    ),
                ),
            ],
            Self::ConnectionStatus => {
                vec![("connectionStatus", words(enums::connection_status(), "The state of the connection."))]
            }
            Self::Connections => {
                let items = json!({ "$ref": "#/components/schemas/Connection" });
                let what = "The agent's connections; name one with `connectionId`.";
                vec![("connections", json!({ "type": "array", "items": items, "description": what }))]
            }
            Self::Window => {
                let what = "When the window closed; absent if the user has never written.";
                vec![(
                    "windowExpiresAt",
                    json!({ "type": "string", "format": "date-time", "description": what }),
                )]
            }
            Self::Agent => vec![("agentId", text("The agent it is about."))],
            Self::Account => vec![
                ("instagramAccountId", text("The account that was asked for.")),
                ("tokenAccountId", text("The account of the token.")),
            ],
            Self::Graph => vec![("graphCode", text("Meta's error code, `code` or `code/subcode`."))],
            Self::Missing => {
                let what = "The permissions that the person did not grant.";
                let missing = json!({ "type": "array", "items": { "type": "string" }, "description": what });
                vec![
                    ("graphCode", text("Meta's error code, `code` or `code/subcode`.")),
                    ("missing", missing),
                ]
            }
            Self::Pause => {
                vec![("pause", json!({ "$ref": "#/components/schemas/Pause" }))]
            }
        }
    }
}

/// The kind with this word.
pub(crate) fn kind_of(code: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.code == code)
}

/// The schemas of problems: `Problem`, and one for each set of members, told apart by `code`.
pub(crate) fn schemas() -> Map<String, Value> {
    let mut schemas = Map::new();
    let mut mapping = Map::new();
    let mut names = Vec::new();
    for extras in Extras::ALL {
        let codes: Vec<&str> =
            KINDS.iter().filter(|kind| kind.extras == extras).map(|kind| kind.code).collect();
        let target = format!("#/components/schemas/{}", extras.schema_name());
        mapping.extend(codes.iter().map(|code| ((*code).to_owned(), json!(target))));
        names.push(json!({ "$ref": target }));
        schemas.insert(extras.schema_name().to_owned(), schema(&codes, extras));
    }
    let problem = json!({
        "description": "An error (RFC 9457). Its kind is told by `code`; docs/api.md, and `docUrl`, say when each occurs.",
        "oneOf": names,
        "discriminator": { "propertyName": "code", "mapping": mapping },
    });
    schemas.insert("Problem".to_owned(), problem);
    schemas
}

fn schema(codes: &[&str], extras: Extras) -> Value {
    let mut properties = json!({
        "type": { "type": "string", "description": "`urn:dmrelay:problem:` and the code.",
            "examples": [format!("urn:dmrelay:problem:{}", codes[0])] },
        "code": { "type": "string", "enum": codes, "description": "The stable word of the kind." },
        "title": { "type": "string", "description": "The kind in readable form." },
        "status": { "type": "integer", "format": "int32", "minimum": 400, "maximum": 599, "description": "The HTTP status." },
        "detail": { "type": "string", "description": "Details of this occurrence, for people." },
        "traceId": { "type": "string", "description": "The id of the call in logs and traces, as in the header `Trace-Id`." },
        "docUrl": { "type": "string", "format": "uri-reference", "description": "Where the kind is explained." },
    });
    for (name, member) in extras.members() {
        properties[name] = member;
    }
    let required = [&["type", "code", "title", "status", "docUrl", "traceId"], extras.required()].concat();
    json!({
        "type": "object",
        "description": extras.about(),
        "properties": properties,
        "required": required,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_table_of_the_docs_is_this_one() {
        let docs = include_str!("../../../docs/api.md");
        for Kind { code, statuses, when, .. } in KINDS {
            let statuses: Vec<String> = statuses.iter().map(ToString::to_string).collect();
            let row = format!("| `{code}` | {} | {when} |\n", statuses.join(", "));
            assert!(docs.contains(&row), "docs/api.md lacks {row}");
        }
        let codes: BTreeSet<&str> = KINDS.iter().map(|kind| kind.code).collect();
        assert_eq!(codes.len(), KINDS.len(), "a code stands twice");
    }
}
