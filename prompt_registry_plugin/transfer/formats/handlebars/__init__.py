"""Handlebars, the template language of dotprompt: parsed, and translated into Jinja as far as both mean the same."""
