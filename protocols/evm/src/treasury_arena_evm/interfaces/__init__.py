"""The contracts that the house's protocols talk to, in our own signatures; tests compare them with the compiled contracts."""
