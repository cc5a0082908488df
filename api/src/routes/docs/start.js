// Starts Swagger UI. A link may carry an API key in its fragment, which browsers send to no server: …/api/docs/#key=dmr_…
"use strict";

const given = new URLSearchParams(location.hash.slice(1)).get("key");
if (given) history.replaceState(null, "", location.pathname);

// An event stream never ends, so that "Execute" would show nothing.
const withoutStreams = () => ({
  statePlugins: {
    spec: { wrapSelectors: { allowTryItOutFor: () => (_state, path) => !path.endsWith("/events") } },
  },
});

const ui = SwaggerUIBundle({
  url: "/api/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  filter: true,
  persistAuthorization: true,
  displayRequestDuration: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  presets: [SwaggerUIBundle.presets.apis],
  plugins: [withoutStreams],
  onComplete: () => {
    if (!given) return;
    ui.preauthorizeApiKey("bearer", given);
    ui.authActions.persistAuthorizationIfNeeded();
  },
});
