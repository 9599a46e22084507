"use strict";
// Shows openapi.json, which is beside this page, and sends requests to its paths. All of it comes
// from the model's signature, so that text goes into the page as text only.

const RETRY_MS = 2000;
let spec = null;

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function tag(text, kind = "") {
  return make("span", { class: `tag ${kind}` }, String(text));
}

function resolve(schema) {
  if (!schema || !schema.$ref) return schema ?? {};
  return schema.$ref.slice(2).split("/").reduce((node, key) => node[key], spec);
}

function typesOf(schema) {
  return [].concat(schema.type ?? []);
}

function isNullable(schema) {
  return typesOf(schema).includes("null");
}

function kindOf(schema) {
  const type = typesOf(schema).find((one) => one !== "null") ?? "any";
  if (schema.contentEncoding) return schema.contentEncoding;
  if (schema.format === "date-time-local") return "date and time";
  if (type === "array") return `array of ${kindOf(resolve(schema.items ?? {}))}`;
  return schema.format ?? type;
}

// --- schemas as text ---------------------------------------------------------------------------

// The schema's form, and below it the forms of the components that it names.
function formOf(schema) {
  const named = new Set();
  const parts = [outline(schema.$ref ? resolve(schema) : schema, "", named)];
  for (const ref of named) parts.push(`${ref.split("/").pop()} = ${outline(resolve({ $ref: ref }), "", named)}`);
  return parts.join("\n\n");
}

function outline(schema, indent, named) {
  if (schema.$ref) {
    named.add(schema.$ref);
    return schema.$ref.split("/").pop();
  }
  const inner = `${indent}  `;
  const alternatives = schema.anyOf ?? schema.oneOf;
  if (alternatives) return alternatives.map((one) => outline(one, indent, named)).join(`\n${indent}or `);
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(" | ");
  if (schema.properties) {
    const required = new Set(schema.required ?? []);
    const lines = Object.entries(schema.properties).map(([name, one]) => {
      const fallback = one.default === undefined ? "" : ` = ${JSON.stringify(one.default)}`;
      return `${inner}${name}${required.has(name) ? "" : "?"}: ${outline(one, inner, named)}${fallback}`;
    });
    return `{\n${lines.join("\n")}\n${indent}}`;
  }
  if (schema.prefixItems) return `[${schema.prefixItems.map((one) => outline(one, inner, named)).join(", ")}]`;
  const types = typesOf(schema);
  if (types.includes("array")) {
    const length = schema.minItems === schema.maxItems && schema.minItems !== undefined ? ` of ${schema.minItems}` : "";
    return `array${length} of ${outline(schema.items ?? {}, indent, named)}`;
  }
  if (types.includes("object") && schema.additionalProperties) {
    return `object of ${outline(schema.additionalProperties, indent, named)}`;
  }
  if (types.length === 0) return "any";
  return kindOf(schema) + (isNullable(schema) ? " | null" : "");
}

// --- sending -----------------------------------------------------------------------------------

function pretty(text) {
  try {
    const value = JSON.parse(text);
    // Integers beyond 2^53 would lose digits: then the text stays as it came.
    if (JSON.stringify(value).replace(/\s/g, "") !== text.replace(/\s/g, "")) return text;
    return compact(value);
  } catch {
    return text;
  }
}

function compact(value, indent = "") {
  const line = JSON.stringify(value);
  if (line.length <= 60 || value === null || typeof value !== "object") return line;
  const inner = `${indent}  `;
  const list = Array.isArray(value);
  if (list && value.every((one) => one === null || typeof one !== "object")) return filled(value, indent, inner);
  const parts = list
    ? value.map((one) => inner + compact(one, inner))
    : Object.entries(value).map(([name, one]) => `${inner}${JSON.stringify(name)}: ${compact(one, inner)}`);
  return `${list ? "[" : "{"}\n${parts.join(",\n")}\n${indent}${list ? "]" : "}"}`;
}

// Many plain values in as few lines as they need.
function filled(values, indent, inner) {
  const lines = [""];
  for (const [at, one] of values.entries()) {
    const text = JSON.stringify(one) + (at < values.length - 1 ? ", " : "");
    if (lines.at(-1) && lines.at(-1).length + text.length > 64) lines.push("");
    lines[lines.length - 1] += text;
  }
  return `[\n${lines.map((line) => inner + line.trimEnd()).join("\n")}\n${indent}]`;
}

function addressOf(path) {
  return new URL(path.slice(1), document.baseURI).href;
}

function curlOf(path, method, contentType, body) {
  if (method === "get") return `curl '${addressOf(path)}'`;
  const quoted = body.trim().replaceAll("'", "'\\''");
  return `curl '${addressOf(path)}' -H 'content-type: ${contentType}' --data-binary '${quoted}'`;
}

// A request that can be edited and sent, and its answer. `set` puts another body into it.
function runner(path, method, operation, label) {
  const content = operation.requestBody?.content ?? {};
  const examples = [];
  for (const [contentType, media] of Object.entries(content)) {
    for (const one of Object.values(media.examples ?? {})) {
      examples.push({ title: one.summary, contentType, body: compact(one.value) });
    }
    if (media.example !== undefined) examples.push({ title: contentType, contentType, body: media.example });
  }
  let contentType = examples[0]?.contentType ?? "application/json";
  const root = make("div");
  const area = make("textarea", { spellcheck: "false", "aria-label": `Body of ${path}`, rows: 6 });
  const curl = make("pre", { class: "curl", tabindex: "0" });
  const answer = make("div", { class: "answer", "aria-live": "polite" });
  const button = make("button", { type: "button", onclick: send }, label);
  const show = () => { curl.textContent = curlOf(path, method, contentType, area.value); };
  const set = (body, type = "application/json") => {
    area.value = body;
    contentType = type;
    area.rows = Math.min(16, Math.max(4, body.split("\n").length + 1));
    show();
  };

  async function send() {
    button.disabled = true;
    const begin = performance.now();
    try {
      const options = method === "get" ? {} : { body: area.value, headers: { "content-type": contentType } };
      const response = await fetch(addressOf(path), { method: method.toUpperCase(), ...options });
      const text = await response.text();
      const took = `${(performance.now() - begin).toFixed(1)} ms`;
      const about = [tag(response.status, response.ok ? "good" : "bad"), make("span", { class: "muted" }, took)];
      answer.replaceChildren(make("div", { class: "row" }, ...about), make("pre", { tabindex: "0" }, pretty(text.trim()) || "(an empty line)"));
    } catch (error) {
      answer.replaceChildren(make("div", { class: "row" }, tag("no answer", "bad")), make("pre", {}, String(error)));
    }
    button.disabled = false;
  }

  const controls = make("div", { class: "row" }, button);
  if (method !== "get") {
    area.addEventListener("input", show);
    root.append(area);
    if (examples.length > 1) {
      const choose = make("select", { "aria-label": "Example" }, ...examples.map((one, at) => make("option", { value: at }, one.title)));
      choose.addEventListener("change", () => set(examples[choose.value].body, examples[choose.value].contentType));
      controls.append(make("span", { class: "grow" }), choose);
    }
    set(examples[0]?.body ?? "", contentType);
  } else {
    show();
  }
  root.append(controls, answer, make("h3", {}, "The same with curl"), curl);
  return { root, set, example: examples[0]?.body };
}

// --- the form of the model's fields ------------------------------------------------------------

function recordOf(operation) {
  const schema = operation?.requestBody.content["application/json"].schema;
  const found = (schema?.anyOf ?? []).find((one) => one.$ref === "#/components/schemas/Record");
  const record = found && resolve(found);
  return record?.properties ? record : null;
}

function field(name, schema, required, value, changed) {
  const type = typesOf(schema).find((one) => one !== "null");
  const isPlain = ["number", "integer", "string", "boolean"].includes(type);
  const kind = `${kindOf(schema)}${required ? "" : ", optional"}`;
  let control;
  if (type === "boolean") {
    const choices = ["true", "false", ...(isNullable(schema) ? ["null"] : []), ...(required ? [] : [""])];
    control = make("select", {}, ...choices.map((one) => make("option", { value: one }, one || "left out")));
    control.value = value === undefined ? (required ? "true" : "") : String(value);
  } else {
    control = isPlain
      ? make("input", { autocomplete: "off", spellcheck: "false", inputmode: type === "string" ? "text" : "decimal" })
      : make("textarea", { spellcheck: "false", rows: 3 });
    const hints = { "date and time": "2026-01-31T12:00:00", base64: "base64" };
    control.placeholder = required ? (isNullable(schema) ? hints[kindOf(schema)] ?? "null" : "") : "left out";
    if (type === "string" && required && !hints[kindOf(schema)]) control.placeholder = "";
    control.value = value === undefined || value === null ? "" : type === "string" ? value : JSON.stringify(value);
  }
  control.addEventListener("input", changed);

  // The value's JSON; undefined leaves the field out. Numbers keep the digits that were typed.
  function read() {
    const text = control.value.trim();
    const isText = type === "string";
    let json;
    if (text === "" && !(isText && required && !isNullable(schema))) {
      if (!required) return undefined;
      json = isText && !schema.format && !schema.contentEncoding ? JSON.stringify(control.value) : isNullable(schema) ? "null" : undefined;
    } else {
      json = isText ? JSON.stringify(control.value) : text;
    }
    let valid = true;
    try { if (json !== undefined) JSON.parse(json); } catch { valid = false; }
    control.setAttribute("aria-invalid", String(!valid));
    return valid ? json : JSON.stringify(text);
  }

  const head = [make("span", { class: "name" }, name), make("span", { class: "kind" }, kind)];
  return { node: make("label", { class: isPlain ? "" : "wide" }, ...head, control), read };
}

function tryIt() {
  const predict = spec.paths["/predict"]?.post;
  const path = predict ? "/predict" : "/invocations";
  const operation = spec.paths[path].post;
  const run = runner(path, "post", operation, "Predict");
  const record = recordOf(predict);
  const about = make("h3", {}, `Request to ${path}`);
  if (!record) return make("div", { class: "card try alone" }, make("div", {}, about, run.root));
  const examples = Object.values(operation.requestBody.content["application/json"].examples ?? {});
  const first = examples.map((one) => [].concat(one.value)[0]).find((one) => one && !Array.isArray(one)) ?? {};
  const required = new Set(record.required ?? []);
  const fields = Object.entries(record.properties).map(([name, schema]) => [
    name,
    field(name, resolve(schema), required.has(name), Object.hasOwn(first, name) ? first[name] : undefined, update),
  ]);
  function update() {
    const parts = fields.map(([name, one]) => [name, one.read()]).filter(([, json]) => json !== undefined);
    run.set(`{\n${parts.map(([name, json]) => `  ${JSON.stringify(name)}: ${json}`).join(",\n")}\n}`);
  }
  update();
  const nodes = fields.map(([, one]) => one.node);
  const form = make("div", {}, make("h3", {}, "The model's fields"), make("div", { class: "fields" }, ...nodes));
  return make("div", { class: "card try" }, form, make("div", {}, about, run.root));
}

// --- every path --------------------------------------------------------------------------------

function outcome(status, response) {
  const text = make("div", {}, response.description);
  for (const media of Object.values(response.content ?? {})) {
    const samples = Object.values(media.examples ?? {}).map((one) => one.value);
    if (media.example !== undefined) samples.push(media.example);
    if (!samples.length && !media.schema) continue;
    const shown = samples.length ? samples.map((one) => compact(one)).join("\n\n") : formOf(media.schema);
    text.append(make("details", {}, make("summary", {}, samples.length ? "Example" : "Form"), make("pre", { tabindex: "0" }, shown)));
  }
  const kind = status < "300" ? "good" : "bad";
  return make("div", { class: "outcome" }, tag(status, kind), text);
}

function inside(path, method, operation) {
  const left = make("div");
  const right = make("div", {}, make("h3", {}, "Answers"));
  if (operation.description) left.append(make("p", { class: "muted" }, operation.description));
  left.append(make("h3", {}, "Request"), runner(path, method, operation, "Send").root);
  for (const [type, media] of Object.entries(operation.requestBody?.content ?? {})) {
    if (typesOf(media.schema)[0] === "string") continue;
    left.append(make("h3", {}, `Form of ${type}`), make("pre", { tabindex: "0" }, formOf(media.schema)));
  }
  right.append(...Object.entries(operation.responses).map(([status, one]) => outcome(status, one)));
  return make("div", { class: "inner cols" }, left, right);
}

function operationRow(path, method, operation) {
  const row = make("details", { class: "op" });
  const kind = method === "get" ? "blue" : "good";
  const head = [
    make("span", { class: `tag method ${kind}` }, method.toUpperCase()),
    make("span", { class: "path" }, path),
    make("span", { class: "summary muted" }, operation.summary),
  ];
  row.append(make("summary", {}, ...head));
  row.addEventListener("toggle", () => {
    if (row.open && row.children.length === 1) row.append(inside(path, method, operation));
  });
  return row;
}

function show() {
  document.title = spec.info.title;
  document.getElementById("title").textContent = spec.info.title;
  const version = document.getElementById("version");
  version.textContent = spec.info.version === "unversioned" ? "" : `version ${spec.info.version}`;
  version.hidden = version.textContent === "";
  document.getElementById("about").textContent = spec.info.description;
  const sections = [make("h2", {}, "Try it"), tryIt()];
  for (const group of spec.tags) {
    const rows = [];
    for (const [path, methods] of Object.entries(spec.paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        if (operation.tags.includes(group.name)) rows.push(operationRow(path, method, operation));
      }
    }
    if (rows.length) sections.push(make("h2", {}, group.name), ...rows);
  }
  document.getElementById("main").replaceChildren(...sections);
}

function tellState(text, kind) {
  const state = document.getElementById("state");
  state.textContent = text;
  state.className = `tag ${kind}`;
}

async function load() {
  try {
    const response = await fetch("openapi.json");
    if (response.ok) {
      spec = await response.json();
      tellState("ready", "good");
      show();
      return;
    }
    const { error } = await response.json();
    tellState("not ready", "bad");
    document.getElementById("main").replaceChildren(make("p", { class: "card" }, error));
    if (response.status !== 503) return;
  } catch (error) {
    tellState("no answer", "bad");
  }
  setTimeout(load, RETRY_MS);
}

load();
