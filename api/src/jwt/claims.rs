//! What the claims of a valid token grant.

use super::{TokenError, invalid};
use dmrelay_domain::api_key::is_name_of_person;
use dmrelay_domain::clock::{Millis, millis};
use dmrelay_domain::ids::SubaccountId;
use dmrelay_domain::permission::Role;
use dmrelay_domain::text::is_printable;
use dmrelay_runtime::settings::{InvalidSetting, JwtSettings};
use jsonwebtoken::{Algorithm, Validation};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Maximum length of a subject in characters; it is written into activities.
const SUBJECT_CHARS_MAX: usize = 128;

/// In a list of subaccounts: all of them.
const EVERY: &str = "*";

/// The holder of a valid token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The subject (`sub`): printable and short.
    pub(crate) subject: String,
    /// What people call them (`name`), printable and short.
    pub(crate) name: Option<String>,
    /// The roles granted.
    pub(crate) grants: Grants,
    /// The agents to which it may connect accounts without the operator having assigned them.
    pub(crate) agents: BTreeSet<String>,
    /// Expiry (`exp`), in seconds since the Unix epoch.
    pub(crate) expires_at: i64,
}

/// Roles in subaccounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Grants {
    /// The same role in every subaccount, including future ones.
    Every(Role),
    /// A role in each of these subaccounts.
    Of(BTreeMap<SubaccountId, Role>),
}

impl Grants {
    /// The caller's role in a subaccount, if any.
    pub(crate) fn role_in(&self, subaccount: &SubaccountId) -> Option<Role> {
        match self {
            Self::Every(role) => Some(*role),
            Self::Of(roles) => roles.get(subaccount).copied(),
        }
    }
}

/// What a token must contain.
pub(super) struct Rules {
    issuer: String,
    audience: String,
    role_claim: String,
    subaccounts_claim: String,
    agents_claim: String,
    leeway: Millis,
    max_lifetime: Millis,
}

impl Rules {
    pub(super) fn new(settings: &JwtSettings) -> Result<Self, InvalidSetting> {
        let required = |name: &'static str, value: &Option<String>| {
            let value = value.clone().filter(|value| !value.is_empty());
            value.ok_or_else(|| invalid(name, "is required with JWT_SECRET or JWKS_URL"))
        };
        Ok(Self {
            issuer: required("JWT_ISSUER", &settings.jwt_issuer)?,
            audience: required("JWT_AUDIENCE", &settings.jwt_audience)?,
            role_claim: settings.jwt_role_claim.clone(),
            subaccounts_claim: settings.jwt_subaccounts_claim.clone(),
            agents_claim: settings.jwt_agents_claim.clone(),
            leeway: millis(settings.jwt_leeway),
            max_lifetime: millis(settings.jwt_max_lifetime),
        })
    }

    /// What the library is to check of a token with this algorithm.
    pub(super) fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = u64::try_from(self.leeway / 1_000).unwrap_or_default();
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation
    }

    /// Who the holder of a token is that the library has found valid, and what they may.
    pub(super) fn identity(&self, claims: &Value, now: Millis) -> Result<Identity, TokenError> {
        let claims = claims.as_object().ok_or(wrong("it has no claims"))?;
        // The library takes a list of issuers, too.
        if claims.get("iss").and_then(Value::as_str) != Some(self.issuer.as_str()) {
            return Err(wrong("it has no issuer (iss)"));
        }
        let expires_at = self.check_lifetime(claims, now)?;
        let subject = claims.get("sub").and_then(Value::as_str).filter(|text| is_subject(text));
        let subject = subject.ok_or(wrong("its subject (sub) is missing or unusable"))?.to_owned();
        let name =
            ["name", "preferred_username", "email"].iter().filter_map(|claim| claims.get(*claim)?.as_str());
        let name = name.map(str::trim).find(|name| is_name_of_person(name)).map(str::to_owned);
        Ok(Identity { subject, name, grants: self.grants(claims)?, agents: self.agents(claims)?, expires_at })
    }

    /// The token's expiry, unless it lives for longer than allowed.
    fn check_lifetime(&self, claims: &Map<String, Value>, now: Millis) -> Result<i64, TokenError> {
        let expires_at = claims.get("exp").and_then(seconds).ok_or(wrong("it has no expiry (exp)"))?;
        // The library takes a token for up to a second longer; it ends with its `exp` (RFC 7519 §4.1.4).
        if now.saturating_sub(self.leeway) >= expires_at.saturating_mul(1_000) {
            return Err(wrong("it has expired"));
        }
        let issued = match claims.get("iat") {
            Some(issued) => {
                seconds(issued).ok_or(wrong("its iat claim is not a time"))?.saturating_mul(1_000)
            }
            None => now,
        };
        if now.saturating_add(self.leeway) < issued {
            return Err(wrong("it is issued in the future (iat)"));
        }
        let lifetime = expires_at.saturating_mul(1_000).saturating_sub(issued);
        if lifetime > self.max_lifetime.saturating_add(self.leeway) {
            return Err(wrong("it lives too long (JWT_MAX_LIFETIME)"));
        }
        Ok(expires_at)
    }

    fn agents(&self, claims: &Map<String, Value>) -> Result<BTreeSet<String>, TokenError> {
        let odd = wrong("its agents claim is not a list of ids");
        match claims.get(&self.agents_claim) {
            None => Ok(BTreeSet::new()),
            Some(Value::Array(ids)) => {
                ids.iter().map(|id| id.as_str().map(str::to_owned).ok_or(odd)).collect()
            }
            Some(_) => Err(odd),
        }
    }

    fn grants(&self, claims: &Map<String, Value>) -> Result<Grants, TokenError> {
        let role = claims.get(&self.role_claim).map(role_of).transpose()?;
        match claims.get(&self.subaccounts_claim).ok_or(wrong("it has no subaccounts claim"))? {
            Value::Array(ids) => listed(ids, role.ok_or(wrong("it has no role claim"))?),
            Value::Object(roles) => {
                let of = |(id, word): (&String, &Value)| Ok((subaccount(id)?, role_of(word)?));
                roles.iter().map(of).collect::<Result<_, _>>().map(Grants::Of)
            }
            _ => Err(wrong("its subaccounts claim is neither a list nor an object")),
        }
    }
}

/// The same role in each listed subaccount.
fn listed(ids: &[Value], role: Role) -> Result<Grants, TokenError> {
    let mut roles = BTreeMap::new();
    let mut every = false;
    for id in ids {
        match id.as_str().ok_or(wrong("its subaccounts claim contains an invalid id"))? {
            EVERY => every = true,
            id => {
                roles.insert(subaccount(id)?, role);
            }
        }
    }
    Ok(if every { Grants::Every(role) } else { Grants::Of(roles) })
}

fn subaccount(id: &str) -> Result<SubaccountId, TokenError> {
    SubaccountId::parse(id).map_err(|_| wrong("its subaccounts claim contains an invalid id"))
}

fn role_of(word: &Value) -> Result<Role, TokenError> {
    word.as_str().and_then(Role::parse).ok_or(wrong("it names an unknown role"))
}

/// A time as in RFC 7519: a number, possibly with a fraction.
fn seconds(value: &Value) -> Option<i64> {
    /// Above this value a float no longer holds every integer; no time is that far away.
    const SECONDS_MAX: f64 = 9_007_199_254_740_992.0;
    let fraction = || value.as_f64().map(f64::floor).filter(|seconds| seconds.abs() < SECONDS_MAX);
    #[expect(clippy::cast_possible_truncation, reason = "it is whole, and far from the limits of an i64")]
    value.as_i64().or_else(|| fraction().map(|seconds| seconds as i64))
}

/// Whether the text is safe to show in an activity and in a log.
fn is_subject(text: &str) -> bool {
    let visible = text.chars().any(|c| !c.is_whitespace());
    visible && text.chars().count() <= SUBJECT_CHARS_MAX && text.chars().all(is_printable)
}

fn wrong(why: &'static str) -> TokenError {
    TokenError::Invalid(why)
}
