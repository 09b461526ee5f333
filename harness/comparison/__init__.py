"""Two states of the code measured side by side: is the newer one slower?"""
