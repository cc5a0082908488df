//! People at the console, without a browser.

use crate::relay::Relay;
use anyhow::{Context, Result, ensure};
use reqwest::header::{LOCATION, SET_COOKIE};

/// Somebody at the console.
pub struct Person {
    client: reqwest::Client,
    base: String,
    /// The cookie of their session.
    pub cookie: Option<String>,
}

impl Person {
    /// Nobody is signed in yet.
    ///
    /// # Errors
    /// If the API does not answer, or not as it should.
    pub fn at(relay: &Relay) -> Result<Self> {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { client, base: relay.rest.address(), cookie: None })
    }

    /// A call, with the cookie if there is one.
    ///
    /// # Errors
    /// If the API does not answer, or not as it should.
    pub fn call(&self, method: &str, path: &str) -> Result<reqwest::RequestBuilder> {
        let call = self.client.request(method.parse()?, format!("{}{path}", self.base));
        let call = call.header("accept", "text/html");
        Ok(match &self.cookie {
            Some(cookie) => call.header("cookie", cookie),
            None => call,
        })
    }

    /// A page: its status, its text, and where it leads.
    ///
    /// # Errors
    /// If the API does not answer, or not as it should.
    pub async fn get(&self, path: &str) -> Result<(u16, String, String)> {
        seen(self.call("GET", path)?).await
    }

    /// What a script of the pages gets: its status, and the fragments.
    ///
    /// # Errors
    /// If the API does not answer, or not as it should.
    pub async fn fragment(&self, path: &str) -> Result<(u16, String)> {
        let (status, text, _) = seen(self.call("GET", path)?.header("x-fragment", "1")).await?;
        Ok((status, text))
    }

    /// A form: the status, the text, and where it leads.
    ///
    /// # Errors
    /// If the API does not answer, or not as it should.
    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Result<(u16, String, String)> {
        let body: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let call = self.call("POST", path)?.header("content-type", "application/x-www-form-urlencoded");
        seen(call.body(body)).await
    }

    /// Signs in with a key.
    ///
    /// # Errors
    /// If the API does not answer, or not as it should.
    pub async fn sign_in(&mut self, key: &str) -> Result<()> {
        let form = [("name", "Anna Berg"), ("key", key), ("subaccount", "acme")];
        let body: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let call = self.call("POST", "/console/sign-in")?;
        let call = call.header("content-type", "application/x-www-form-urlencoded").body(body);
        let response = call.send().await?;
        ensure!(response.status() == 303, "{}: {}", response.status(), response.text().await?);
        let cookie = response.headers().get(SET_COOKIE).context("no cookie")?.to_str()?.to_owned();
        for part in ["HttpOnly", "SameSite=Lax", "Path=/console", "Max-Age="] {
            ensure!(cookie.contains(part), "{cookie} lacks {part}");
        }
        self.cookie = cookie.split(';').next().map(str::to_owned);
        Ok(())
    }

    /// What the forms of a page carry.
    ///
    /// # Errors
    /// If the API does not answer, or not as it should.
    pub async fn csrf(&self) -> Result<String> {
        let (_, page, _) = self.get("/console/inbox").await?;
        let (_, rest) = page.split_once("data-csrf=\"").context("no token in the page")?;
        Ok(rest.split('"').next().unwrap_or_default().to_owned())
    }
}

/// What came back: the status, the text, and where it leads.
///
/// # Errors
/// If nothing came.
pub async fn seen(call: reqwest::RequestBuilder) -> Result<(u16, String, String)> {
    let response = call.send().await?;
    let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default().to_owned();
    Ok((response.status().as_u16(), response.text().await?, to))
}
