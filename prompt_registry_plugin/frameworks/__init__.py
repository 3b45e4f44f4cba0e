"""What adapters are built on, and how they are switched on and off.

To write an adapter: extend `FrameworkAdapter` (`adapter`), and call `serve_text` where the framework loads a prompt (`prompts`).
`patching` replaces methods. `enabling` switches adapters on by name, `lazy` when a framework is imported. `installed` asks the plugins
for adapters.
"""
