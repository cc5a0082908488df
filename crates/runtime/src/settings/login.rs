//! The settings of connecting by a click: the operator's Meta apps, and Meta's logins.

use super::duration::positive;
use super::{FacebookAppSecretArg, InstagramAppSecretArg};
use crate::http::service_url;
use clap::Args;
use std::time::Duration;
use url::Url;

/// People connect their accounts by logging in at Meta. Without an app id they paste a token.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connecting by login")]
pub struct LoginSettings {
    /// The Instagram app id of your Meta app, for Instagram Login (in its dashboard: Instagram, API setup with Instagram login).
    #[arg(long, env = "INSTAGRAM_APP_ID", value_parser = app_id)]
    pub instagram_app_id: Option<String>,
    /// The Instagram app secret.
    #[command(flatten)]
    pub instagram_app_secret: InstagramAppSecretArg,
    /// Permissions requested with Instagram Login, comma-separated.
    #[arg(
        long,
        env = "INSTAGRAM_SCOPES",
        value_delimiter = ',',
        default_value = "instagram_business_basic,instagram_business_manage_messages,instagram_business_manage_comments"
    )]
    pub instagram_scopes: Vec<String>,
    /// The app id of your Meta app, for Facebook Login.
    #[arg(long, env = "FACEBOOK_APP_ID", value_parser = app_id)]
    pub facebook_app_id: Option<String>,
    /// The app secret of your Meta app.
    #[command(flatten)]
    pub facebook_app_secret: FacebookAppSecretArg,
    /// Permissions requested with Facebook Login, comma-separated.
    #[arg(
        long,
        env = "FACEBOOK_SCOPES",
        value_delimiter = ',',
        default_value = "instagram_basic,instagram_manage_messages,instagram_manage_comments,pages_show_list,pages_manage_metadata,pages_read_engagement,pages_messaging,business_management"
    )]
    pub facebook_scopes: Vec<String>,
    /// The configuration of Facebook Login for Business, in place of FACEBOOK_SCOPES.
    #[arg(long, env = "FACEBOOK_CONFIG_ID", value_parser = app_id)]
    pub facebook_config_id: Option<String>,
    /// Where people log in to Instagram.
    #[arg(long, env = "INSTAGRAM_AUTHORIZE_URL", default_value = "https://www.instagram.com/oauth/authorize", value_parser = service_url)]
    pub instagram_authorize_url: Url,
    /// Host that exchanges the codes of Instagram Login for tokens.
    #[arg(long, env = "INSTAGRAM_OAUTH_URL", default_value = "https://api.instagram.com", value_parser = service_url)]
    pub instagram_oauth_url: Url,
    /// Host at which people log in to Facebook.
    #[arg(long, env = "FACEBOOK_DIALOG_URL", default_value = "https://www.facebook.com", value_parser = service_url)]
    pub facebook_dialog_url: Url,
    /// Where browsers may be sent back to, comma-separated: an origin, or an address whose path and everything below it is allowed.
    /// None by default: then people see a page of the API.
    #[arg(long, env = "CONNECT_RETURN_URLS", value_delimiter = ',', value_parser = return_url)]
    pub connect_return_urls: Vec<Url>,
    /// How long a link to log in is valid, and how long a person may choose a Page.
    #[arg(long, env = "CONNECT_SESSION_TIME", default_value = "10m", value_parser = positive)]
    pub connect_session_time: Duration,
    /// Let links transfer an account from another subaccount (`transfer`): `true` or `false`. One that is sent to the owner of another
    /// tenant's account takes it with a click.
    #[arg(long, env = "CONNECT_TRANSFER", default_value_t = false, action = clap::ArgAction::Set)]
    pub connect_transfer: bool,
    /// Maximum number of links of a subaccount that are valid at a time.
    #[arg(long, env = "CONNECT_SESSIONS_PER_SUBACCOUNT", default_value_t = 100)]
    pub connect_sessions_per_subaccount: u64,
}

/// Meta's ids are digits.
fn app_id(text: &str) -> Result<String, String> {
    if (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    Err("must be 1 to 32 digits".to_owned())
}

fn return_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text.trim()).map_err(|err| err.to_string())?;
    let is_plain = matches!(url.scheme(), "http" | "https") && url.has_host();
    if is_plain && url.query().is_none() && url.fragment().is_none() && url.username().is_empty() {
        return Ok(url);
    }
    Err("must be like https://app.example.com/settings, without a query".to_owned())
}

impl LoginSettings {
    /// Whether browsers may be sent there.
    pub fn may_return_to(&self, url: &Url) -> bool {
        let allows = |allowed: &Url| {
            let base = allowed.path().trim_end_matches('/');
            let below = url.path().strip_prefix(base);
            url.origin() == allowed.origin()
                && below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
        };
        let has_login = !url.username().is_empty() || url.password().is_some();
        matches!(url.scheme(), "http" | "https") && !has_login && self.connect_return_urls.iter().any(allows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        login: LoginSettings,
    }

    #[test]
    fn browsers_are_sent_only_where_the_operator_allows() {
        let urls = "https://app.example.com,http://localhost:5173/connect/";
        let login = Only::parse_from(["x", "--connect-return-urls", urls]).login;
        let may = |url: &str| login.may_return_to(&Url::parse(url).unwrap());
        for good in [
            "https://app.example.com",
            "https://app.example.com/a/b?c=d#e",
            "http://localhost:5173/connect",
            "http://localhost:5173/connect/done",
        ] {
            assert!(may(good), "{good}");
        }
        for bad in [
            "https://app.example.com.evil.example",
            "http://app.example.com",
            "https://app.example.com:444/",
            "https://app.example.com@evil.example/",
            "https://user@app.example.com/",
            "http://localhost:5173/connected",
            "http://localhost:5173/connect/../admin",
            "javascript:alert(1)",
        ] {
            assert!(!may(bad), "{bad}");
        }
    }

    #[test]
    fn what_is_no_place_to_return_to_is_refused_at_the_start() {
        for bad in ["app.example.com", "ftp://a.example", "https://a.example/?x=1", "https://a.example/#x"] {
            assert!(return_url(bad).is_err(), "{bad}");
        }
        for bad in ["", "abc", "12 3", &"1".repeat(33)] {
            assert!(app_id(bad).is_err(), "{bad}");
        }
    }
}
