import { BookDto, CancelDto, ConfirmDto } from './bookings/booking.dto.js';
import { AddConferenceDto } from './conferences/conference.dto.js';
import { AddUserDto } from './users/user.dto.js';

/** What a request may have as its body. */
export const REQUEST_BODIES = [AddUserDto, AddConferenceDto, BookDto, ConfirmDto, CancelDto];
