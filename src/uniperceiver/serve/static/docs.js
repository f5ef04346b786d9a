// Shows openapi.json for people.

const element = (name, text = "", ...children) => {
  const made = document.createElement(name);
  made.append(...(text ? [text] : []), ...children);
  return made;
};

const kindOf = (schema) => {
  if (schema.anyOf) return schema.anyOf.map(kindOf).filter((kind) => kind !== "null").join(" or ");
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.type === "array") return schema.items ? `list of ${kindOf(schema.items)}` : "list";
  return schema.format === "binary" ? "file" : schema.type ?? "";
};

const table = (schema, required = []) => {
  const rows = Object.entries(schema.properties ?? {}).map(([name, field]) =>
    element("tr", "", element("td", "", element("code", name)),
      element("td", kindOf(field) + (required.includes(name) ? ", required" : "")),
      element("td", field.description ?? "")));
  return element("table", "", ...rows);
};

const section = (path, method, operation, schemas) => {
  const made = element("section", "", element("h2", `${method.toUpperCase()} ${path}`), element("p", operation.summary ?? ""));
  const form = operation.requestBody?.content["multipart/form-data"]?.schema;
  if (form) made.append(element("h3", "Takes"), table(form, form.required));
  const answer = operation.responses["200"]?.content?.["application/json"]?.schema?.$ref?.split("/").pop();
  if (answer) made.append(element("h3", `Gives ${answer}`), table(schemas[answer]));
  return made;
};

const api = await (await fetch("openapi.json")).json();
const example = "curl -F image=@photo.jpg -F 'labels=dog, red car' " + new URL("v1/detect", location.href);
const sections = Object.entries(api.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => section(path, method, operation, api.components.schemas)));
document.getElementById("document").replaceChildren(
  element("p", api.info.description), element("pre", example), ...sections,
  element("p", "Every other answer is JSON: error.code, error.message, and error.change, what to do about it."));
