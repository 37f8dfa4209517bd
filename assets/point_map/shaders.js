// The programs of the drawing: points as discs, density as sums per cell, lines of pairs.

const POINT_VERTEX = `#version 300 es
layout(location=0) in vec2 a_from;
layout(location=1) in vec2 a_to;
layout(location=2) in float a_colour;
layout(location=3) in float a_mask;
uniform vec2 u_centre, u_scale;
uniform float u_morph, u_size, u_dim, u_density;
uniform sampler2D u_palette;
out vec4 v_colour;
out float v_size;
void main() {
  vec2 place = mix(a_from, a_to, u_morph);
  int mask = int(a_mask);
  vec4 colour = texelFetch(u_palette, ivec2(int(a_colour), 0), 0);
  bool shown = (mask & 1) == 1 && colour.a > 0.0;
  bool selected = (mask & 2) == 2;
  float strength = selected ? 1.0 : u_dim;
  v_size = u_density > 0.5 ? 1.0 : u_size * (selected && u_dim < 1.0 ? 1.3 : 1.0);
  v_colour = vec4(colour.rgb, strength);
  gl_PointSize = v_size;
  gl_Position = shown ? vec4((place - u_centre) * u_scale, 0.0, 1.0) : vec4(2.0, 2.0, 2.0, 1.0);
}`;

const POINT_FRAGMENT = `#version 300 es
precision highp float;
in vec4 v_colour;
in float v_size;
uniform float u_density, u_alpha;
out vec4 colour;
void main() {
  if (u_density > 0.5) {
    colour = vec4(v_colour.rgb, 1.0) * v_colour.a;
    return;
  }
  float radius = length(gl_PointCoord - 0.5) * 2.0;
  float alpha = (1.0 - smoothstep(1.0 - 2.0 / max(v_size, 2.0), 1.0, radius)) * u_alpha * v_colour.a;
  if (alpha < 0.004) discard;
  colour = vec4(v_colour.rgb * alpha, alpha);
}`;

const SCREEN_VERTEX = `#version 300 es
out vec2 v_place;
void main() {
  vec2 corner = vec2(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0);
  v_place = corner * 0.5 + 0.5;
  gl_Position = vec4(corner, 0.0, 1.0);
}`;

// Mean colour of the points in a cell, opacity by the logarithm of how many they are.
const DENSITY_FRAGMENT = `#version 300 es
precision highp float;
in vec2 v_place;
uniform sampler2D u_sums;
uniform float u_most;
out vec4 colour;
void main() {
  vec4 sums = texture(u_sums, v_place);
  if (sums.a < 0.01) { colour = vec4(0.0); return; }
  float alpha = clamp(0.18 + 0.82 * log(1.0 + sums.a) / log(1.0 + u_most), 0.0, 1.0) * min(1.0, sums.a * 4.0);
  colour = vec4(sums.rgb / sums.a * alpha, alpha);
}`;

const LINE_VERTEX = `#version 300 es
layout(location=0) in vec2 a_from;
layout(location=1) in vec2 a_to;
layout(location=2) in float a_flag;
uniform vec2 u_centre, u_scale;
uniform float u_morph;
uniform vec4 u_plain, u_marked;
out vec4 v_colour;
void main() {
  v_colour = a_flag > 0.5 ? u_marked : u_plain;
  gl_Position = vec4((mix(a_from, a_to, u_morph) - u_centre) * u_scale, 0.0, 1.0);
}`;

const LINE_FRAGMENT = `#version 300 es
precision mediump float;
in vec4 v_colour;
out vec4 colour;
void main() { colour = vec4(v_colour.rgb * v_colour.a, v_colour.a); }`;
