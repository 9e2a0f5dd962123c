"use strict";
/* Shows openapi.json: an entry for each operation, with what goes in and out, and a form to try it.
   All text is set as text, never as HTML. */

const METHODS = ["get", "post", "put", "delete"];
let api = {};

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function resolved(part) {
  if (!part || !part.$ref) return part;
  return part.$ref.split("/").slice(1).reduce((at, name) => at[name], api);
}

function typeOf(schema) {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(" or ");
  if (schema.enum) return schema.enum.map((word) => JSON.stringify(word)).join(", ");
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.type === "array") return `list of ${typeOf(schema.items)}`;
  const type = Array.isArray(schema.type) ? schema.type.join(" or ") : schema.type || "anything";
  return schema.format ? `${type} (${schema.format})` : type;
}

function schemaTable(given, depth = 0) {
  const schema = resolved(given);
  if (!schema || depth > 6) return null;
  if (schema.type === "array") return schemaTable(schema.items, depth + 1);
  if (schema.anyOf) {
    const tables = schema.anyOf.map((one) => schemaTable(one, depth + 1)).filter(Boolean);
    return tables.length ? element("div", {}, ...tables) : null;
  }
  if (!schema.properties) return null;
  const required = schema.required || [];
  const rows = Object.entries(schema.properties).map(([name, property]) => {
    const inner = schemaTable(property, depth + 1);
    return element("tr", {},
      element("td", {}, element("code", { textContent: name + (required.includes(name) ? "" : "?") })),
      element("td", { textContent: typeOf(property) }),
      element("td", {}, element("div", { textContent: (property && property.description) || "" }), inner));
  });
  return element("table", {}, ...rows);
}

function example(given, depth = 0) {
  const schema = resolved(given) || {};
  if (schema.example !== undefined) return schema.example;
  if (schema.default !== undefined) return schema.default;
  if (schema.enum) return schema.enum[0];
  if (schema.anyOf) return example(schema.anyOf[0], depth + 1);
  if (schema.type === "array") return depth > 4 ? [] : [example(schema.items, depth + 1)];
  if (schema.properties) {
    const names = (schema.required && schema.required.length) ? schema.required : Object.keys(schema.properties);
    return Object.fromEntries(names.map((name) => [name, example(schema.properties[name], depth + 1)]));
  }
  return { integer: 0, number: 0, boolean: false, string: "", object: {} }[schema.type] ?? null;
}

function tryForm(method, path, operation, parameters) {
  const inputs = parameters.map((parameter) => [parameter, element("input", { spellcheck: false })]);
  const content = (operation.requestBody && operation.requestBody.content) || null;
  const mediaType = content ? Object.keys(content)[0] : null;
  const body = content
    ? element("textarea", { value: JSON.stringify(example(content[mediaType].schema), null, 2), spellcheck: false })
    : null;
  const answer = element("pre", { hidden: true });
  const send = element("button", { type: "button", textContent: "Send" });
  send.addEventListener("click", async () => {
    let url = path;
    const query = new URLSearchParams();
    for (const [parameter, input] of inputs) {
      if (parameter.in === "path") url = url.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
      else if (input.value !== "") query.append(parameter.name, input.value);
    }
    const asked = `${url}${query.size ? `?${query}` : ""}`;
    answer.hidden = false;
    answer.textContent = "Waiting for the answer.";
    try {
      const response = await fetch(asked, {
        method: method.toUpperCase(),
        headers: {
          Authorization: `AccessKey ${document.getElementById("key").value}`,
          ...(body ? { "Content-Type": mediaType } : {}),
        },
        body: body ? body.value : undefined,
      });
      const text = await response.text();
      let shown = text;
      try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* it is no JSON */ }
      answer.textContent = `${response.status} ${response.statusText}\n${shown.slice(0, 100000)}`;
    } catch (error) {
      answer.textContent = String(error);
    }
  });
  const rows = inputs.map(([parameter, input]) => element("tr", {},
    element("td", {}, element("code", { textContent: parameter.name })), element("td", {}, input)));
  return element("details", {}, element("summary", { textContent: "Try it" }),
    element("div", {}, rows.length ? element("table", {}, ...rows) : null, body, send, answer));
}

function answersOf(operation) {
  return Object.entries(operation.responses).map(([status, answer]) => {
    const media = Object.entries(answer.content || {})[0];
    return element("tr", {},
      element("td", {}, element("code", { textContent: status })),
      element("td", {},
        element("div", { textContent: answer.description + (media ? ` (${media[0]})` : "") }),
        media && Number(status) < 300 ? schemaTable(media[1].schema) : null));
  });
}

function entry(method, path, operation) {
  const parameters = (operation.parameters || []).map(resolved);
  const content = operation.requestBody && Object.values(operation.requestBody.content)[0];
  const summary = element("summary", {},
    element("span", { className: "method", textContent: method.toUpperCase() }),
    element("span", { className: operation.deprecated ? "path deprecated" : "path", textContent: path }),
    ` ${operation.summary}`);
  const described = parameters.map((parameter) => element("tr", {},
    element("td", {}, element("code", { textContent: parameter.name })),
    element("td", { textContent: `${parameter.in}, ${typeOf(parameter.schema)}` }),
    element("td", { textContent: parameter.description || "" })));
  return element("details", { id: operation.operationId }, summary, element("div", {},
    operation.description ? element("p", { textContent: operation.description }) : null,
    described.length ? element("h4", { textContent: "Parameters" }) : null,
    described.length ? element("table", {}, ...described) : null,
    content ? element("h4", { textContent: "Body" }) : null,
    content ? schemaTable(content.schema) : null,
    element("h4", { textContent: "Answers" }), element("table", {}, ...answersOf(operation)),
    tryForm(method, path, operation, parameters)));
}

function show() {
  const main = document.getElementById("operations");
  const index = document.getElementById("index");
  const groups = new Map();
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const method of METHODS) {
      const operation = methods[method];
      if (!operation) continue;
      if (!groups.has(operation.tags[0])) groups.set(operation.tags[0], []);
      groups.get(operation.tags[0]).push([method, path, operation]);
    }
  }
  main.replaceChildren(element("pre", { textContent: api.info.description }));
  for (const [tag, entries] of groups) {
    main.append(element("h2", { textContent: tag }));
    index.append(element("h2", { textContent: tag }));
    for (const [method, path, operation] of entries) {
      main.append(entry(method, path, operation));
      if (operation.deprecated) continue;
      index.append(element("a", { href: `#${operation.operationId}`, textContent: operation.summary }));
    }
  }
}

function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target && "open" in target) { target.open = true; target.scrollIntoView(); }
}

function filter(words) {
  const wanted = words.toLowerCase();
  for (const one of document.querySelectorAll("main > details")) {
    one.hidden = !one.querySelector("summary").textContent.toLowerCase().includes(wanted);
  }
}

document.getElementById("filter").addEventListener("input", (event) => filter(event.target.value));
window.addEventListener("hashchange", openTarget);
fetch("/openapi.json")
  .then((answer) => answer.json())
  .then((document_) => { api = document_; show(); openTarget(); })
  .catch((error) => { document.getElementById("operations").textContent = `The document cannot be read: ${error}`; });
