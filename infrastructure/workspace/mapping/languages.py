"""Which languages are read, by which grammar, and what counts as a definition in each.

Owns the queries. A pattern captures a definition as `@def.KIND` and its name as `@name`; comments and the text of
strings, where no name is used, are captured as `@prose`. Grammars are wheels of the tree-sitter project; only the
worker loads them (`parsing`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import PurePosixPath

_PYTHON = """
(class_definition name: (identifier) @name) @def.class
(function_definition name: (identifier) @name) @def.function
(module (expression_statement (assignment left: (identifier) @name) @def.constant))
(comment) @prose (string_content) @prose
"""
_JAVASCRIPT = """
(class_declaration name: (_) @name) @def.class
(function_declaration name: (identifier) @name) @def.function
(generator_function_declaration name: (identifier) @name) @def.function
(method_definition name: (property_identifier) @name) @def.function
(program (lexical_declaration (variable_declarator name: (identifier) @name) @def.constant))
(program (export_statement (lexical_declaration (variable_declarator name: (identifier) @name) @def.constant)))
(program (expression_statement (assignment_expression
  left: (member_expression property: (property_identifier) @name)
  right: [(function_expression) (arrow_function) (class)]) @def.function))
(comment) @prose (string_fragment) @prose
"""
_TYPESCRIPT = (
    _JAVASCRIPT
    + """
(abstract_class_declaration name: (type_identifier) @name) @def.class
(interface_declaration name: (type_identifier) @name) @def.class
(type_alias_declaration name: (type_identifier) @name) @def.constant
(enum_declaration name: (identifier) @name) @def.class
(function_signature name: (identifier) @name) @def.function
(method_signature name: (property_identifier) @name) @def.function
(abstract_method_signature name: (property_identifier) @name) @def.function
(internal_module name: (_) @name) @def.class
"""
)
_GO = """
(function_declaration name: (identifier) @name) @def.function
(method_declaration name: (field_identifier) @name) @def.function
(type_declaration (type_spec name: (type_identifier) @name) @def.class)
(method_elem name: (field_identifier) @name) @def.function
(source_file (const_declaration (const_spec name: (identifier) @name) @def.constant))
(source_file (var_declaration (var_spec name: (identifier) @name) @def.constant))
(comment) @prose (interpreted_string_literal) @prose (raw_string_literal) @prose
"""
_RUST = """
(struct_item name: (type_identifier) @name) @def.class
(enum_item name: (type_identifier) @name) @def.class
(union_item name: (type_identifier) @name) @def.class
(trait_item name: (type_identifier) @name) @def.class
(impl_item type: (_) @name) @def.block
(mod_item name: (identifier) @name body: (_)) @def.class
(type_item name: (type_identifier) @name) @def.constant
(function_item name: (identifier) @name) @def.function
(function_signature_item name: (identifier) @name) @def.function
(macro_definition name: (identifier) @name) @def.function
(const_item name: (identifier) @name) @def.constant
(static_item name: (identifier) @name) @def.constant
(line_comment) @prose (block_comment) @prose (string_content) @prose
"""
_JAVA = """
(class_declaration name: (identifier) @name) @def.class
(interface_declaration name: (identifier) @name) @def.class
(enum_declaration name: (identifier) @name) @def.class
(record_declaration name: (identifier) @name) @def.class
(annotation_type_declaration name: (identifier) @name) @def.class
(method_declaration name: (identifier) @name) @def.function
(constructor_declaration name: (identifier) @name) @def.function
(field_declaration
  (modifiers "static" "final") declarator: (variable_declarator name: (identifier) @name)) @def.constant
(line_comment) @prose (block_comment) @prose (string_fragment) @prose
"""
_C = """
(function_definition declarator: (_) @name) @def.function
(translation_unit (declaration declarator: [
  (function_declarator) (pointer_declarator (function_declarator))] @name) @def.function)
(struct_specifier name: (type_identifier) @name body: (_)) @def.class
(union_specifier name: (type_identifier) @name body: (_)) @def.class
(enum_specifier name: (type_identifier) @name body: (_)) @def.class
(type_definition declarator: (type_identifier) @name) @def.constant
(preproc_def name: (identifier) @name value: (_)) @def.constant
(preproc_function_def name: (identifier) @name) @def.function
(comment) @prose (string_content) @prose
"""
_CPP = (
    _C
    + """
(class_specifier name: (_) @name body: (_)) @def.class
(namespace_definition name: (_) @name) @def.block
(alias_declaration name: (type_identifier) @name) @def.constant
(field_declaration declarator: (function_declarator) @name) @def.function
"""
)
_RUBY = """
(class name: (_) @name) @def.class
(module name: (_) @name) @def.class
(method name: (_) @name) @def.function
(singleton_method name: (_) @name) @def.function
(program (assignment left: (constant) @name) @def.constant)
(body_statement (assignment left: (constant) @name) @def.constant)
(comment) @prose (string_content) @prose
"""
_BASH = """
(function_definition name: (word) @name) @def.function
(program (variable_assignment name: (variable_name) @name) @def.constant)
(comment) @prose
"""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A language: how people call it, the package of its grammar, the function in it, and the query."""

    name: str
    package: str
    query: str
    function: str = "language"


SPOKEN = {
    "python": Spoken("python", "tree_sitter_python", _PYTHON),
    "javascript": Spoken("javascript", "tree_sitter_javascript", _JAVASCRIPT),
    "typescript": Spoken("typescript", "tree_sitter_typescript", _TYPESCRIPT, "language_typescript"),
    "tsx": Spoken("tsx", "tree_sitter_typescript", _TYPESCRIPT, "language_tsx"),
    "go": Spoken("go", "tree_sitter_go", _GO),
    "rust": Spoken("rust", "tree_sitter_rust", _RUST),
    "java": Spoken("java", "tree_sitter_java", _JAVA),
    "c": Spoken("c", "tree_sitter_c", _C),
    "cpp": Spoken("cpp", "tree_sitter_cpp", _CPP),
    "ruby": Spoken("ruby", "tree_sitter_ruby", _RUBY),
    "bash": Spoken("bash", "tree_sitter_bash", _BASH),
}
LANGUAGES = tuple(SPOKEN)

_SUFFIXES = {
    "python": ".py .pyi",
    "javascript": ".js .jsx .mjs .cjs",
    "typescript": ".ts .mts .cts",
    "tsx": ".tsx",
    "go": ".go",
    "rust": ".rs",
    "java": ".java",
    "c": ".c .h",
    "cpp": ".cc .cpp .cxx .hh .hpp .hxx",
    "ruby": ".rb .rake",
    "bash": ".sh .bash",
}
_BY_SUFFIX = {suffix: name for name, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}


def language_of(path: str) -> str | None:
    """The language of a file by its name; None when it is none of ours."""
    return _BY_SUFFIX.get(PurePosixPath(path).suffix.lower())


@cache
def fingerprint(name: str) -> str:
    """What decides the tags of a file beside its text: the versions of parser and grammar, and the query."""
    spoken = SPOKEN[name]
    package = spoken.package.replace("_", "-")
    said = f"{version('tree-sitter')} {package} {version(package)} {spoken.function}\n{spoken.query}"
    return hashlib.sha256(said.encode()).hexdigest()[:16]
