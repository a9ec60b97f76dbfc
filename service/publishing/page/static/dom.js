// Nodes, and nothing else that writes to the document: text always becomes a text node, never markup.

const SVG = "http://www.w3.org/2000/svg";

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) node.setAttribute(name, String(value));
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** An HTML element; attributes that are null are left out, children are nodes or text. */
export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** An SVG element. */
export function drawn(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

/** The element of that id. */
export function byId(id) {
  return document.getElementById(id);
}

/** Change the text only where it differs: a live region speaks at every change, and selections survive. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
