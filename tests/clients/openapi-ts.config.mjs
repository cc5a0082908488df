// Hey API, as a frontend team would set it up: types and calls from the document, on fetch.
export default {
  input: "../../docs/openapi.json",
  output: { path: process.env.CLIENT_OUTPUT, importFileExtension: ".js" },
  plugins: ["@hey-api/client-fetch", "@hey-api/typescript", "@hey-api/sdk"],
  logs: { level: "error" },
};
