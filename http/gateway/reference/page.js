// Shows the description of the API with Scalar. All that would ask another host is off.

Scalar.createApiReference("#reference", {
  url: new URL("openapi.json", location).href,
  baseServerURL: location.origin,
  telemetry: false,
  withDefaultFonts: false,
  proxyUrl: "",
  agent: { disabled: true },
  mcp: { disabled: true },
  hideClientButton: true,
  showDeveloperTools: "never",
  persistAuth: false,
  defaultHttpClient: { targetKey: "shell", clientKey: "curl" },
});
