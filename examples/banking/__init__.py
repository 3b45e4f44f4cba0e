"""The main job on a real data set: see demo.py."""
