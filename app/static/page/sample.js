// What panels begin with, so that there is something to look at within a minute.

export const SAMPLE = `text,topic
Where is my parcel?,delivery
My delivery has not arrived.,delivery
The tracking number does not work,delivery
Can I change the delivery address?,delivery
How long does shipping take?,delivery
The courier left it with a neighbour,delivery
I was charged twice,payment
My card was declined,payment
Can I pay by invoice?,payment
Where do I find my receipt?,payment
The refund has not reached my account,payment
Which cards do you accept?,payment
I forgot my password,account
How do I delete my account?,account
Change the email of my account,account
The login page shows an error,account
Turn off the newsletter,account
My account was locked,account
The lamp arrived broken,product
Does it come in another colour?,product
Is the battery included?,product
The zip of the bag is stuck,product
Which size should I take?,product
The manual is missing,product
`;

export const SAMPLE_TEXTS = SAMPLE.trim().split("\n").slice(1).map((line) => line.slice(0, line.lastIndexOf(",")));

/** A few, of which some are alike. */
export const SOME = [0, 1, 4, 6, 7, 12, 13, 18].map((at) => SAMPLE_TEXTS[at]);
