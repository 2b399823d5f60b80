// Renders /openapi.json: no CDN, no framework. Requests without a path parameter can be tried.

const make = (tag, text, className) => {
  const node = document.createElement(tag);
  if (text) node.textContent = text;
  if (className) node.className = className;
  return node;
};

let described = {};

function resolve(schema) {
  const name = schema?.$ref?.replace("#/components/schemas/", "");
  return name ? described.components.schemas[name] : schema || {};
}

function typeOf(schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(" or ");
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(" or ");
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.type === "array") return `list of ${typeOf(schema.items || {})}`;
  return schema.format ? `${schema.type} (${schema.format})` : schema.type || "any";
}

function rows(entries) {
  const table = make("table");
  for (const [name, type, about] of entries) {
    const row = make("tr");
    const first = make("td");
    first.append(make("code", name));
    row.append(first, make("td", type, "quiet"), make("td", about));
    table.append(row);
  }
  return table;
}

function fields(schema) {
  const whole = resolve(schema.type === "array" ? schema.items : schema);
  return Object.entries(whole.properties || {}).map(([name, one]) => [name, typeOf(one), one.description || ""]);
}

function answers(operation) {
  const parts = [];
  for (const [status, answer] of Object.entries(operation.responses)) {
    const media = Object.entries(answer.content || {});
    parts.push(make("h4", `${status} ${answer.description || ""} ${media.map(([type]) => type).join(", ")}`));
    const schema = media.map(([, content]) => content.schema).find(Boolean);
    const listed = schema ? fields(schema) : [];
    if (listed.length && status !== "422") parts.push(rows(listed));
  }
  return parts;
}

function attempt(path) {
  const button = make("button", "Try it");
  const shown = make("pre");
  button.type = "button";
  shown.hidden = true;
  button.addEventListener("click", async () => {
    shown.hidden = false;
    try {
      const answer = await fetch(path);
      const text = await answer.text();
      const json = (answer.headers.get("content-type") || "").includes("json");
      shown.textContent = `${answer.status}\n${json ? JSON.stringify(JSON.parse(text), null, 2) : text}`;
    } catch (error) {
      shown.textContent = String(error);
    }
  });
  return [button, shown];
}

function section(path, verb, operation) {
  const box = make("details", null, "operation");
  const head = make("summary");
  head.append(make("span", verb.toUpperCase(), "verb"), make("span", path, "path"), make("span", operation.summary, "quiet"));
  box.append(head);
  if (operation.description) box.append(make("p", operation.description));
  if (operation.parameters?.length) {
    box.append(make("h4", "Parameters"));
    box.append(rows(operation.parameters.map((p) => [p.name, `${p.in}, ${typeOf(p.schema)}`, p.description || ""])));
  }
  box.append(...answers(operation));
  const streams = "text/event-stream" in (operation.responses["200"]?.content || {});
  if (verb === "get" && !path.includes("{") && !streams) box.append(...attempt(path));
  return box;
}

described = await (await fetch("/openapi.json")).json();
document.getElementById("title").textContent = `${described.info.title} ${described.info.version}`;
document.getElementById("about").textContent = described.info.description;
document.getElementById("operations").append(
  ...Object.entries(described.paths).flatMap(([path, verbs]) =>
    Object.entries(verbs).map(([verb, operation]) => section(path, verb, operation))),
);
