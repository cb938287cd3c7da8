"""What plugins implement. Hooks only register these objects; the engines receive them ready-made."""
